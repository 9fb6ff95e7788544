"""Published circuits from a CSV file."""

from pathlib import Path

import pytest

from amhw import Refusal
from amhw.study.peers import read_peers


def written(folder: Path, text: str) -> Path:
    file = folder / "published.csv"
    file.write_text(text)
    return file


def test_each_kind_of_loss_is_a_point_of_its_own(tmp_path):
    peers = read_peers(
        written(tmp_path, "name,note,area_um2,delay_ps,plain_loss,remapped_loss\nA,x,10,20,5,0.5\nB,,1,2,,0\n")
    )
    assert [(peer.name, peer.kind, peer.loss_points) for peer in peers] == [
        ("A", "plain", 5),
        ("A", "remapped", 0.5),
        ("B", "remapped", 0),
    ]
    assert all(peer.accuracy is None and peer.energy_fj is None for peer in peers)


def test_an_accuracy_is_taken_as_it_is(tmp_path):
    [peer] = read_peers(written(tmp_path, "name,area_um2,delay_ps,energy_fj,accuracy,loss\nA,10,20,3,0.99,7\n"))
    assert (peer.accuracy, peer.loss_points, peer.energy_fj) == (0.99, None, 3)


def test_the_measured_circuits_of_this_repository_are_such_a_file():
    peers = read_peers(Path(__file__).parents[2] / "docs" / "evoapprox-u8s8-sky130hd.csv")
    assert {(peer.kind, peer.half_width is None) for peer in peers} == {("plain", True), ("remapped", False)}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "name"),
        ("name,area_um2,loss\nA,1,2\n", "delay_ps"),
        ("name,area_um2,delay_ps\nA,1,2\n", "accuracy"),
        ("name,area_um2,delay_ps,loss\n", "no rows"),
        ("name,area_um2,delay_ps,loss\nA,small,2,3\n", "'small'"),
        ("name,area_um2,delay_ps,loss\nA,,2,3\n", "A has no area_um2"),
        ("name,area_um2,delay_ps,loss\nA,1,,3\n", "A has no delay_ps"),
    ],
)
def test_what_cannot_be_read_is_refused(tmp_path, text, words):
    with pytest.raises(Refusal, match=words):
        read_peers(written(tmp_path, text))
