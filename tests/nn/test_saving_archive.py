"""The file of a checkpoint: killed at any moment it is whole, and no bytes are taken but those that were saved."""

import base64
import io
import os
import pickle
import stat
import subprocess
import sys
import tracemalloc
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest

from microgradnp import nn, optim
from microgradnp.nn.saving import archive

THOROUGH = pytest.mark.slow


@pytest.fixture
def path(tmp_path):
    return tmp_path / "run.npz"


def save(path):
    model = nn.Sequential(nn.Linear(2, 3, rng=0), nn.Tanh(), nn.Linear(3, 1, rng=1))
    nn.save(path, model, optimizer=optim.Adam(model.parameters()), rng=np.random.default_rng(0), epoch=3)
    return path.read_bytes()


def sealed(content):
    """Bytes with a right seal: what somebody forges who has read this code."""
    content = content[: -archive.DIGITS]
    return content + archive._digits(io.BytesIO(content), len(content))


def refused(path, content, match="."):
    """The bytes are refused by one error that names the file, and take no more memory than they are."""
    path.write_bytes(content)
    tracemalloc.start()
    try:
        with pytest.raises(nn.CheckpointError, match=match) as error:
            nn.load(path)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert str(error.value).startswith(str(path))
    assert peak < 2 * len(content) + 2**21  # the pieces in which a file is read


# -- Corrupted files ---------------------------------------------------------------------------------------------------


def corrupted(rng, content):
    """A file that something happened to."""
    data = bytearray(content)
    place = int(rng.integers(len(data)))
    size = int(rng.integers(1, 64))
    match rng.integers(6):
        case 0:
            data[place] ^= 1 << int(rng.integers(8))
        case 1:
            del data[place:]
        case 2:
            data[place:place] = rng.bytes(size)
        case 3:
            data += rng.bytes(size)
        case 4:
            del data[place : place + size]
        case 5:
            data[place : place + size] = bytes(len(data[place : place + size]))
    return bytes(data)


def many(number, thorough):
    return [number, pytest.param(thorough, marks=THOROUGH)]


@pytest.mark.parametrize("number", many(300, 10_000))
def test_no_corrupted_file_is_taken(path, number):
    content = save(path)
    rng = np.random.default_rng(number)
    for data in (corrupted(rng, content) for _ in range(number)):
        if data != content:
            refused(path, data)


@pytest.mark.parametrize("number", many(300, 10_000))
def test_no_forged_seal_brings_another_error_or_takes_memory(path, number):
    """Somebody who alters a file and its checksum can alter numbers; not make us run or allocate anything."""
    content = save(path)
    rng = np.random.default_rng(number)
    taken = 0
    for _ in range(number):
        path.write_bytes(sealed(corrupted(rng, content[: -archive.DIGITS]) + content[-archive.DIGITS :]))
        tracemalloc.start()
        try:
            nn.load(path)
            taken += 1
        except nn.CheckpointError:
            pass
        assert tracemalloc.get_traced_memory()[1] < 2**22
        tracemalloc.stop()
    assert taken < number / 2


def test_every_single_bit_counts(path):
    content = save(path)
    for place in np.random.default_rng(0).choice(len(content), 50, replace=False):
        for bit in range(8):
            data = bytearray(content)
            data[place] ^= 1 << bit
            path.write_bytes(data)
            with pytest.raises(nn.CheckpointError):
                nn.load(path)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda content: content[:-1], "truncated"),
        (lambda content: content[: len(content) // 2], "truncated"),
        (lambda content: content + b"\0" * 7, "oversized: 7 bytes follow its end"),
        (lambda content: content + content, "oversized|altered"),
        (lambda content: content[:1000] + b"!" + content[1001:], "altered after it was saved"),
        (lambda content: b"", "is empty"),
        (lambda content: pickle.dumps({"w": 1}), "a pickle, which could run any code"),
        (lambda content: b"\x93NUMPY\x01\0", "single array of numpy.save"),
        (lambda content: b"\x89HDF\r\n\x1a\n", "HDF5"),
        (lambda content: b"epoch,loss\n1,2\n", "not a file that nn.save has written"),
        (lambda content: (16).to_bytes(8, "little") + b'{"w":{}}        ', "safetensors"),
    ],
)
def test_what_is_wrong_is_said(path, change, said):
    refused(path, change(save(path)), said)


def test_other_archives_are_named(path):
    np.savez(path, w=np.zeros(3))
    refused(path, path.read_bytes(), r"load_state_dict\(dict\(numpy.load\(path\)\)\)")
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("archive/data.pkl", b"\x80\x02")
    refused(path, path.read_bytes(), "PyTorch's.*from_torch_state")


@pytest.mark.skipif(os.name != "posix", reason="pipes by name are POSIX's")
def test_a_pipe_is_not_waited_for(path):
    os.mkfifo(path)
    with pytest.raises(nn.CheckpointError, match="pipe"):
        nn.load(path)


# -- Forgeries ---------------------------------------------------------------------------------------------------------


def forged(entries, compression=zipfile.ZIP_STORED):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compression) as made:
        for name, data in entries:
            made.writestr(zipfile.ZipInfo(name) if compression == zipfile.ZIP_STORED else name, data)
        made.comment = archive.SEAL + b"0" * archive.DIGITS
    return sealed(file.getvalue())


def header(text, size=118):
    return b"\x93NUMPY\x01\0" + size.to_bytes(2, "little") + text.encode().ljust(size - 1) + b"\n"


HEAD = (archive.HEAD, '{"format": 1, "parts": {"w": {"value": {"$array": "w"}}}, "generators": []}')
HUGE = "{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000000,), }"
OBJECTS = "{'descr': '|O', 'fortran_order': False, 'shape': (1,), }"


@pytest.mark.parametrize(
    ("entries", "said"),
    [
        ([HEAD, ("w.npy", header(HUGE) + bytes(8))], "claims shape"),
        ([HEAD, ("w.npy", header(HUGE.replace("<f8", "<U0")))], "dtype"),
        ([HEAD, ("w.npy", header(HUGE.replace("(", "(-1, -")) + bytes(8))], "shape"),
        ([HEAD, ("w.npy", header(HUGE.replace("(1000", "(0, 1000" + "0" * 40)))], "ValueError"),
        ([HEAD, ("w.npy", header(OBJECTS) + pickle.dumps([1]))], "dtype object"),
        ([HEAD, ("w.npy", header(HUGE.replace("'<f8'", "__import__('os')")))], "ValueError"),
        ([HEAD, ("w.npy", header("(" * 5000, 9000))], "CheckpointError|Error"),
        ([HEAD, ("w.npy", b"")], "ValueError"),
        ([HEAD, ("v.npy", header(HUGE.replace("1000000000000", "1")) + bytes(8))], "KeyError"),
        ([(archive.HEAD, "[" * 100_000)], "RecursionError"),
        ([(archive.HEAD, "[]")], "TypeError"),
        ([(archive.HEAD, '{"format": 2}')], "newer microgradnp"),
        ([(archive.HEAD, '{"format": 1, "generators": []}')], "KeyError"),
        ([(archive.HEAD, HEAD[1].replace('{"$array": "w"}', '{"$function": "np.load"}'))], "no ufunc"),
        ([(archive.HEAD, HEAD[1].replace('{"$array": "w"}', '{"$function": "os.system"}'))], "KeyError"),
        ([(archive.HEAD, HEAD[1].replace('{"$array": "w"}', '{"$code": 1}'))], "KeyError"),
    ],
)
def test_forged_contents_are_refused(path, entries, said):
    refused(path, forged(entries), said)


@pytest.mark.parametrize(
    ("kind", "arguments"),
    [
        ("Linear", {"in_features": 10**6, "out_features": 10**6}),
        ("LayerNorm", {"normalized_shape": [10**5, 10**5]}),
        ("BatchNorm1d", {"num_features": 10**10}),
    ],
)
def test_no_layer_is_larger_than_the_file_has_arrays_for(path, kind, arguments):
    save(path)
    head, arrays = archive.read(path)
    layer = {"class": kind, "ours": True, "number": 0, "items": [], "arguments": arguments}
    begun = {"weight_init": None, "bias_init": None} if kind == "Linear" else {}
    head["parts"]["model"]["model"]["layer"] = {"$layer": {**layer, "begun": begun}}
    archive.write(path, head, arrays)
    refused(path, path.read_bytes(), "elements is not in the file")


def test_an_entry_that_claims_more_than_the_file_is_refused(path):
    """In the archive's directory and in its own header alike, so that nothing but the file's size tells."""
    claimed = 10**8
    data = forged([HEAD, ("w.npy", header(HUGE.replace("1000000000000", str(claimed))) + bytes(800))])
    place = data.rindex(b"PK\x01\x02") + 20
    size = (128 + 8 * claimed).to_bytes(4, "little")
    refused(path, sealed(data[:place] + 2 * size + data[place + 8 :]), "claim more bytes than the file has")


def test_a_zip_bomb_is_refused(path):
    bomb = forged([HEAD, ("w.npy", bytes(10**7))], zipfile.ZIP_DEFLATED)
    refused(path, bomb, "compressed|is an archive")
    array = header(HUGE.replace("1000000000000", "125")) + bytes(1000)
    data = forged([HEAD, ("a.npy", array), ("b.npy", array)])
    with zipfile.ZipFile(io.BytesIO(data)) as file:
        first, second = (info.header_offset for info in file.infolist()[1:])
    overlapping = data.replace(second.to_bytes(4, "little") + b"b.npy", first.to_bytes(4, "little") + b"a.npy")
    refused(path, sealed(overlapping), "two entries|Error")


# -- Written whole or not at all ---------------------------------------------------------------------------------------

KILLED = """
import os, random, signal, sys, time
import numpy as np
from microgradnp import nn

path, number = sys.argv[1], int(sys.argv[2])

def save(k):
    model = nn.Linear(300, 100)
    model.weight.data[...] = k
    nn.save(path, model, rows=np.full(40_000, k), k=k)

save(-1)
least = -1
for k in range(number):
    child = os.fork()
    if not child:
        for step in range(1000):
            save(1000 * k + step)
        os._exit(1)
    time.sleep(0.01 + random.random() * 0.05)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    saved = nn.load(path)
    assert least <= saved.k < 1000 * (k + 1), (least, saved.k)
    assert (saved.model.weight.data == saved.k).all() and (saved.rows == saved.k).all()
    least = saved.k
print(least)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="kills a forked process")
@pytest.mark.parametrize("kills", many(15, 200))
def test_killed_at_any_moment_the_file_is_whole(tmp_path, kills):
    command = [sys.executable, "-c", KILLED, str(tmp_path / "run.npz"), str(kills)]
    done = subprocess.run(command, check=True, cwd=Path(__file__).parents[2], capture_output=True, text=True)
    assert int(done.stdout) >= 0  # some saves came to their end
    left = [name for name in os.listdir(tmp_path) if name != "run.npz"]
    assert all(name.startswith(".run.npz.") and name.endswith(".tmp") for name in left)


def test_a_save_that_fails_leaves_nothing_behind(path, monkeypatch):
    before = save(path)
    monkeypatch.setattr(os, "fsync", lambda file: (_ for _ in ()).throw(OSError("the disk is full")))
    with pytest.raises(OSError, match="disk is full"):
        save(path)
    assert path.read_bytes() == before
    assert os.listdir(path.parent) == ["run.npz"]


@pytest.mark.skipif(os.name != "posix", reason="permissions and links are POSIX's")
def test_permissions_and_links_are_kept(tmp_path, path):
    save(path)
    path.chmod(0o600)
    link = tmp_path / "latest.npz"
    link.symlink_to(path)
    save(link)
    assert link.is_symlink()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert nn.load(link).epoch == 3


# -- Files that were written before ------------------------------------------------------------------------------------

OLD = (
    "c-o~^&2G~`5Oygo;8TTq<6>5o0#ela|EEHt5)vE=C{p2opo%v3I5Be8X1y*7Ri$1L7bKp56EDGwaN*94M_@N`Hnx)@N^M!YGqW?_"
    "w=+BI-r@T7ZDsb{Rlcq5<;NR}BEBuI87Cplh7?C6-+fzT<W$vAoY666XkRnBT*@(J1sAwQL*p!hv=Um9hEhBMDn$+Lv=kZ&Q(TBx"
    "=m_4GKv;rP)SVl%k_sE6B}g49$Af7IU8)iWW3ldarI68AAvQptCIm2*fEQpkV2!#~A|Kbam=4P^-%HVi<;zJw2FywdMJtlPWp$(3"
    "Fb)#Df|Q0LHpxM3Bu+ETTpKNnXLUvc7?z~X<~=0C5$h);5tT(F=o3-q6fHr|*N`$zYY6JnYytYuC3u0!=u!nRFIj-qiC9Ixn#fSA"
    "3n`Oc%Z9{Q0+<bz9Tg)?A*%631;Y$#9is2f%2Mx<9ZV^nh-6LMYfr9G8{pixIwybeoUT|!EvDHAAa!avr<#N;A;Y?M2m~l*8J(qF"
    "tpZKMAjq?DBrk&#oR(s5j<nNhtfsZPDt2UG(c3btI`wR!s@3`8hm-Z|eyI283Gad_)mCbyXgO98IIbDkzUAt+Yw3>f2fF7Qe&ATX"
    "VHrl?RlUhOHsmh8XIQS~nU3K(z8Ua!j$?BNC$M$P^DW=DJ<n5RHqnUpOqmd7new7SLWUvCx5syOte*86SMk?7KhHn&nfPvttGH3_"
    "U6N0}Jb(GD_i9Z!QBFG%6d~>GYn=zN-|1={en~TmNk5|z2>oN67QprV(B;78dq!6??{~E`?Y|#&#`O2Yit<5||C^7$e$4rA)%c4;"
    "cV+fw_iEfF`<n-|af`EGySBZ4@vm_HoUbV>evEDJcJ&tCpEg$2vhCl_-opQIb2*p2!;MX0UFYw2KHj>aC`WaU8qb{RxSFjyrl;#s"
    "6nhwO<nvSS8$sxXU<Gz$*aO=D&l*4&!XP%x2!rc@<HVMMZ7+)LKc+(1VE"
)


def test_a_file_of_format_1_is_still_read(path):
    path.write_bytes(zlib.decompress(base64.b85decode(OLD)))
    saved = nn.load(path)
    assert repr(saved.model) == repr(nn.Sequential(nn.Linear(1, 2), nn.Tanh()))
    assert saved.model.predict([[1.0]]).tolist() == np.tanh([[4.0, 6.0]]).tolist()
    assert (saved.epoch, saved.rng.random()) == (5, np.random.default_rng(0).random())
