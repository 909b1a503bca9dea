"""docs/paper-vs-released-code.md holds the numbers that the networks and configs have."""

from .differences import PAGE, current, rows


def test_page_is_current():
    page = PAGE.read_text()
    assert current(page) == page


def test_published_numbers():
    """As counted in the authors' code, and as the paper prints them."""
    values = {name: (paper, released) for name, paper, released in rows()}
    assert values["parameters registered"][1] == "51,279,915"
    assert values["FFSR: parameters"][1] == "1,052,803"
    assert values["FFSR: GMACs at 256x128"][1] == "5.079"
    assert values["FFSR: GMACs at 384x128"] == ("3.714", "7.619")
    assert values["FFSR: convolutions"] == ("12", "15")
    assert values["GMACs of a feature at 256x128"][1] == "13.186"
    assert values["GMACs of a feature at 384x128"][1] == "19.779"
    assert values["RIFE: parameters of the weight heads"] == ("492,552", "125,258")
    assert values["in units of the FFSR loss"] == ("1 : 1 : 0.1", "1 : 10 : 0.1")
    assert values["mean of the squared mask"][1] == "0.3645; without the bug 0.5203"
    assert values["r of widths 8 to 31"] == ("0.25 to 0.9688", "0.0625 to 0.2422")
