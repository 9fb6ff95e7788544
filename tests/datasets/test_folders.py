"""Data sets as folders of PNG files."""

import io
import struct
import zlib

import numpy as np
import pytest
from labelled_images import random_set
from PIL import Image

from amhw.datasets import data_source
from amhw.refusal import Refusal


def write_png(path, pixels, mode=None):
    """`pixels` [C, H, W] or [H, W] as a PNG file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(pixels if pixels.ndim == 2 else pixels.transpose(1, 2, 0).squeeze())
    (image if mode is None else image.convert(mode)).save(path, "PNG")


def write_folder(root, data, names):
    """One folder a class, the images of each in order."""
    for index, (image, label) in enumerate(zip(data.images, data.labels, strict=True)):
        write_png(root / names[label] / f"{index:03}.png", image)
    return root


NAMES = ["cat", "dog", "eel"]


@pytest.mark.parametrize("shape", [(1, 6, 5), (3, 6, 5)], ids=str)
def test_training_and_test_folders(tmp_path, shape):
    training, test = random_set(9, shape, 3), random_set(6, shape, 3, seed=1)
    write_folder(tmp_path / "pets/train", training, NAMES)
    write_folder(tmp_path / "pets/test", test, NAMES)
    source = data_source(tmp_path / "pets")
    for found, written in ((source.training, training), (source.test, test)):
        # The first of each class, the second of each, …, as they were written.
        np.testing.assert_array_equal(found.images, written.images)
        np.testing.assert_array_equal(found.labels, written.labels)
    assert source.has_training and source.name == "pets"


def test_without_train_and_test_the_folders_are_test_images(tmp_path):
    test = random_set(6, (1, 4, 4), 3)
    source = data_source(write_folder(tmp_path / "pets", test, NAMES))
    assert not source.has_training
    assert source.test.labels.tolist() == [0, 1, 2, 0, 1, 2]
    with pytest.raises(Refusal, match=r"pets has no PNG files of its training images; wanted train/CLASS/\*\.png"):
        _ = source.training


def test_training_images_alone(tmp_path):
    write_folder(tmp_path / "pets/train", random_set(6, (1, 4, 4), 3), NAMES)
    source = data_source(tmp_path / "pets")
    assert source.representative.name == "pets training slice"
    with pytest.raises(Refusal, match=r"no PNG files of its test images; wanted test/CLASS"):
        _ = source.test


@pytest.mark.parametrize(
    ("names", "order"),
    [
        (["10", "9", "0"], ["0", "9", "10"]),
        (["b", "a", "C"], ["C", "a", "b"]),
        (["x", "2", "10"], ["2", "10", "x"]),
    ],
    ids=["numbers by value", "text", "both"],
)
def test_classes_are_numbered_by_their_names(tmp_path, names, order):
    data = random_set(3, (1, 4, 4), 3)
    source = data_source(write_folder(tmp_path / "pets", data, names))
    np.testing.assert_array_equal(source.test.images, data.images[[names.index(name) for name in order]])
    assert source.test.labels.tolist() == [0, 1, 2]


def test_a_class_that_only_one_part_has_keeps_its_number(tmp_path):
    write_folder(tmp_path / "pets/train", random_set(3, (1, 4, 4), 3), NAMES)
    write_png(tmp_path / "pets/test/eel/1.png", np.zeros((4, 4), np.uint8))
    write_png(tmp_path / "pets/test/bat/1.png", np.zeros((4, 4), np.uint8))
    source = data_source(tmp_path / "pets")  # bat, cat, dog, eel
    assert (source.training.labels.tolist(), source.test.labels.tolist()) == ([1, 2, 3], [0, 3])


def test_some_images_are_of_all_classes(tmp_path):
    """However many a class has: whoever takes the first few of a data set would else see one class only."""
    for name, count in (("cat", 5), ("dog", 2), ("eel", 3)):
        for index in range(count):
            write_png(tmp_path / "pets" / name / f"{index}.png", np.full((4, 4), 10 * index, np.uint8))
    test = data_source(tmp_path / "pets").test
    assert test.labels.tolist() == [0, 1, 2, 0, 1, 2, 0, 2, 0, 0]
    assert test.images[:, 0, 0, 0].tolist() == [0, 0, 0, 10, 10, 10, 20, 20, 30, 40]


def test_hidden_files_and_folders_do_not_count(tmp_path):
    root = write_folder(tmp_path / "pets", random_set(3, (1, 4, 4), 3), NAMES)
    (root / "cat/.DS_Store").write_bytes(b"\0\0\0\1Bud1")
    (root / "cat/._000.png").write_bytes(b"\0\5\x16\7")
    write_png(root / ".thumbnails/1.png", np.zeros((2, 2), np.uint8))
    (root / "README").write_text("three animals")
    (root / "empty").mkdir()
    assert data_source(root).test.labels.tolist() == [0, 1, 2]


def test_the_suffix_may_be_in_capitals(tmp_path):
    root = write_folder(tmp_path / "pets", random_set(3, (1, 4, 4), 3), NAMES)
    (root / "cat/000.png").rename(root / "cat/000.PNG")
    assert len(data_source(root).test) == 3


@pytest.mark.parametrize("other", ["more/1.png", "1.jpg", "labels.txt"])
def test_nothing_in_the_folder_of_a_class_is_silently_left_out(tmp_path, other):
    root = write_folder(tmp_path / "pets", random_set(3, (1, 4, 4), 3), NAMES)
    write_png(root / "dog" / other, np.zeros((4, 4), np.uint8))
    wrong = other.split("/")[0]
    with pytest.raises(Refusal, match=rf"dog/{wrong} is no PNG file; wanted nothing else in the folder of a class"):
        _ = data_source(root).test


def test_modes_of_eight_bits(tmp_path):
    """Black and white, few bits of grey, and palettes are what they show."""
    columns = np.tile(np.array([0, 85, 170, 255], np.uint8), (4, 1))
    write_png(tmp_path / "bits/0/a.png", np.where(columns > 127, 255, 0).astype(np.uint8), "1")
    assert data_source(tmp_path / "bits").test.images[0, 0, 0].tolist() == [0, 0, 255, 255]
    write_png(tmp_path / "palette/0/a.png", np.stack([columns, columns[::-1], 255 - columns]), "P")
    found = data_source(tmp_path / "palette").test
    assert found.shape == (3, 4, 4)
    with Image.open(tmp_path / "palette/0/a.png") as picture:
        np.testing.assert_array_equal(found.images[0].transpose(1, 2, 0), np.asarray(picture.convert("RGB")))


def chunk(kind, content):
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png(width, height, bits, colour, rows, *extra):
    """A PNG file by its specification (ISO/IEC 15948), chunk by chunk."""
    header = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0)
    parts = [chunk(b"IHDR", header), *extra, chunk(b"IDAT", zlib.compress(rows)), chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


GREY = png(4, 2, 8, 0, (b"\0" + bytes(4)) * 2)


def test_a_file_by_the_specification_is_read(tmp_path):
    (tmp_path / "0").mkdir()
    (tmp_path / "0/a.png").write_bytes(png(2, 2, 2, 0, bytes([0, 0b00_01_0000, 0, 0b10_11_0000])))  # two bits of grey
    assert data_source(tmp_path).test.images[0, 0].tolist() == [[0, 85], [170, 255]]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is no PNG file, or a damaged one"),
        (b"GIF89a", "is no PNG file, or a damaged one"),
        (GREY[:20], "is no PNG file, or a damaged one"),
        (GREY[:45], "is no PNG file, or a damaged one"),
        (png(4, 2, 16, 0, (b"\0" + bytes(8)) * 2), "has 16 bits a sample"),
        (png(4, 2, 16, 2, (b"\0" + bytes(24)) * 2), "has 16 bits a sample"),
        (png(4, 2, 8, 4, (b"\0" + bytes(8)) * 2), r"is transparent \(LA\)"),
        (png(4, 2, 8, 6, (b"\0" + bytes(16)) * 2), r"is transparent \(RGBA\)"),
        (png(4, 2, 8, 0, (b"\0" + bytes(4)) * 2, chunk(b"tRNS", b"\0\7")), r"is transparent \(L\)"),
        (
            png(4, 2, 8, 3, (b"\0" + bytes(4)) * 2, chunk(b"PLTE", bytes(6)), chunk(b"tRNS", b"\0\xff")),
            r"is transparent \(P\)",
        ),
        (png(60_000, 60_000, 8, 0, b""), "is no PNG file, or a damaged one"),
        (png(10_000, 10_000, 8, 0, b""), "is no PNG file, or a damaged one"),
        (png(5, 2, 8, 0, (b"\0" + bytes(5)) * 2), r"differs from .*cat/000\.png: .* 1×2×4 and 1×2×5"),
        (png(4, 2, 8, 2, (b"\0" + bytes(12)) * 2), r"differs from .*cat/000\.png: .* 1×2×4 and 3×2×4"),
    ],
    ids=[
        *("empty", "GIF", "cut in the header", "cut in the pixels", "16-bit grey", "16-bit colour", "grey with alpha"),
        *("colour with alpha", "transparent grey", "transparent palette", "3600 megapixels", "100 megapixels"),
        *("another width", "colour"),
    ],
)
def test_other_pictures_are_refused_by_name(tmp_path, content, message):
    root = tmp_path / "pets"
    for name, each in (("cat/000.png", GREY), ("dog/odd.png", content)):
        (root / name).parent.mkdir(parents=True)
        (root / name).write_bytes(each)
    with pytest.raises(Refusal, match=message) as refused:
        _ = data_source(root).test
    assert "dog/odd.png" in str(refused.value) and "\n" not in str(refused.value)


def test_more_classes_than_a_byte_can_tell_apart_are_refused(tmp_path):
    content = io.BytesIO()
    Image.new("L", (2, 2)).save(content, "PNG")
    for label in range(257):
        (tmp_path / "many" / str(label)).mkdir(parents=True)
        (tmp_path / f"many/{label}/a.png").write_bytes(content.getvalue())
    with pytest.raises(Refusal, match="many has 257 classes; up to 256 are possible"):
        _ = data_source(tmp_path / "many").test
    (tmp_path / "many/256/a.png").unlink()
    assert data_source(tmp_path / "many").test.labels.tolist() == list(range(256))


def test_folders_one_level_too_high_are_named(tmp_path):
    write_folder(tmp_path / "pets/Training", random_set(3, (1, 4, 4), 3), NAMES)
    with pytest.raises(Refusal, match=r"pets holds no data set.*; .*pets/Training holds class folders"):
        data_source(tmp_path / "pets")
