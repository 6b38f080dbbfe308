"""What `status` says of members that ask too much."""

from adapter.reports import flood_warnings
from overlay.ring.sessions import OVER_THE_RATE


def test_a_flood_on_the_ring_is_spoken_of_with_its_count():
    assert flood_warnings({"session: data replayed": 3}) == []
    (warning,) = flood_warnings({f"session: {OVER_THE_RATE}": 41})
    assert "41 datagrams" in warning
