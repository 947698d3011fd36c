"""When damage opens, what closes it, and which time is lost."""

from __future__ import annotations

from fractions import Fraction

from videobert.video.damage import DamageTracker

CLIP = Fraction(3, 2)


def seconds(number: float) -> Fraction:
    return Fraction(number).limit_denominator(1000)


def opened(shown_until: float = 4, packet_seconds: float | None = None) -> DamageTracker:
    damage = DamageTracker()
    packet = None if packet_seconds is None else seconds(packet_seconds)
    damage.open(seconds(shown_until), packet_seconds=packet)
    return damage


def lost(damage: DamageTracker) -> list[tuple[float, float]]:
    return [(float(start), float(end)) for start, end in damage.ranges]


def test_without_damage_every_frame_is_good() -> None:
    damage = DamageTracker()
    assert damage.admits(seconds(1), is_whole_key=False) and damage.admits(None, is_whole_key=False)
    assert not damage.was_met and damage.good_until(seconds(7)) == 7


def test_only_a_whole_key_frame_of_a_known_time_closes_damage() -> None:
    damage = opened()
    assert not damage.admits(seconds(5), is_whole_key=False) and not damage.admits(None, is_whole_key=True)
    assert damage.is_open and lost(damage) == []
    assert damage.admits(seconds(6), is_whole_key=True)
    assert not damage.is_open and damage.was_met and lost(damage) == [(4, 6)]
    assert damage.admits(seconds(6.1), is_whole_key=False)


def test_a_key_frame_that_the_damage_met_closes_nothing() -> None:
    damage = opened(packet_seconds=6)
    assert not damage.admits(seconds(6), is_whole_key=True) and damage.refused_until == 6
    assert damage.admits(seconds(6.5), is_whole_key=True) and lost(damage) == [(4, 6.5)]


def test_more_damage_lengthens_what_is_open_and_never_moves_its_start() -> None:
    damage = opened(packet_seconds=5)
    damage.open(seconds(4), packet_seconds=seconds(8))
    damage.open(seconds(4), packet_seconds=seconds(7))
    assert damage.refused_until == 8
    assert damage.admits(seconds(9), is_whole_key=True) and lost(damage) == [(4, 9)]


def test_the_time_of_a_damaged_packet_is_believed_only_where_frames_can_wait_so_long() -> None:
    assert opened(packet_seconds=64.001).refused_until == 0
    assert opened(packet_seconds=63.999).refused_until == seconds(63.999)


def test_damage_that_costs_no_time_is_no_range() -> None:
    damage = opened()
    assert damage.admits(seconds(3.9), is_whole_key=True) and lost(damage) == [] and not damage.was_met


def test_clips_that_meet_a_lost_range_are_known() -> None:
    damage = opened()
    assert not damage.touches(seconds(3), seconds(4.5))  # still open: nobody knows how long
    damage.admits(seconds(6), is_whole_key=True)
    assert [damage.touches(k * CLIP, (k + 1) * CLIP) for k in range(5)] == [False, False, True, True, False]


def test_all_is_well_until_the_first_damage() -> None:
    damage = opened()
    assert damage.good_until(seconds(9)) == 4
    damage.admits(seconds(6), is_whole_key=True)
    damage.open(seconds(8))
    assert damage.good_until(seconds(9)) == 4


def test_what_comes_after_the_last_good_frame_is_lost() -> None:
    damage = DamageTracker()
    damage.end(seconds(4), lost_until=seconds(4))
    assert not damage.was_met
    damage.end(seconds(4), lost_until=seconds(5.5))
    assert lost(damage) == [(4, 5.5)]
