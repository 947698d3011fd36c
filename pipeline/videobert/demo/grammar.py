"""The kitchen's grammar: which actions exist, how recipes go on, what the narrator says. Shared by tokens and pixels.

Everything is a function of (config, video key), so any part of a corpus can be made again alone.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from videobert.demo.words import CHATTER, NOUNS, TEMPLATES, VERBS
from videobert.errors import InputError

__all__ = ["Kitchen", "KitchenConfig", "Recipe", "Step", "build_kitchen", "demo_kitchen", "random_for"]


@dataclass(frozen=True, slots=True, kw_only=True)
class KitchenConfig:
    """What may vary in the procedural kitchen; the defaults are the design whose oracle is documented."""

    seed: int = 0
    """Root of all randomness."""
    verbs: int = len(VERBS)
    """How many verbs exist; each one is a motion."""
    nouns: int = len(NOUNS)
    """How many nouns exist; each one is an object of its own shape, colour and texture."""
    actions: int = 120
    """How many (verb, noun) pairs are valid; every verb and every noun occurs in at least one."""
    zipf_exponent: float = 0.7
    """Popularity of the action of rank r is proportional to r ** -zipf_exponent; likewise among the successors."""
    successors: int = 3
    """Typical next actions of each action."""
    successor_probability: float = 0.6
    """Chance that the next step is one of the successors; otherwise it is drawn by popularity."""
    narration_current: float = 0.5
    """Chance that a sentence names the action on the screen."""
    narration_neighbour: float = 0.3
    """Chance that it names the action of the step before or after; the rest is chit-chat that names no action."""
    steps_min: int = 5
    """Fewest steps of a video."""
    steps_max: int = 8
    """Most steps of a video."""
    step_seconds_min: float = 4.5
    """Shortest step."""
    step_seconds_max: float = 6.0
    """Longest step."""

    def __post_init__(self) -> None:
        _need(2 <= self.verbs <= len(VERBS), f"verbs={self.verbs}", f"choose 2..{len(VERBS)}")
        _need(2 <= self.nouns <= len(NOUNS), f"nouns={self.nouns}", f"choose 2..{len(NOUNS)}")
        least, most = max(self.verbs, self.nouns), self.verbs * self.nouns
        _need(least <= self.actions <= most, f"actions={self.actions}", f"choose {least}..{most} for these words")
        _need(1 <= self.successors < self.actions, f"successors={self.successors}", "choose 1..actions-1")
        _need(self.zipf_exponent >= 0, f"zipf_exponent={self.zipf_exponent}", "choose 0 (uniform) or more")
        _need(0 <= self.successor_probability <= 1, f"successor_probability={self.successor_probability}", "use 0..1")
        mix = self.narration_current, self.narration_neighbour
        _need(min(mix) >= 0 and sum(mix) <= 1 + 1e-9, f"narration mix {mix}", "use shares whose sum is at most 1")
        steps = self.steps_min, self.steps_max
        _need(1 <= steps[0] <= steps[1], f"steps_min, steps_max = {steps}", "use 1 <= least <= most")
        seconds = self.step_seconds_min, self.step_seconds_max
        _need(0 < seconds[0] <= seconds[1], f"step_seconds_min, step_seconds_max = {seconds}", "use 0 < least <= most")

    def digest(self) -> str:
        """16 hexadecimal digits that change when any field does."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()[:16]


def _need(holds: bool, value: str, cure: str) -> None:
    if not holds:
        raise InputError(f"{value} is outside what the kitchen can make; {cure}")


def demo_kitchen(seed: int = 0) -> KitchenConfig:
    """The small kitchen of the demo: 8 verbs x 10 nouns, 32 actions, mostly honest narration."""
    return KitchenConfig(seed=seed, verbs=8, nouns=10, actions=32, narration_current=0.75, narration_neighbour=0.125)


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One step of a recipe: what is seen, when, and what is said meanwhile."""

    action: int
    """Index into `Kitchen.actions_A2`."""
    verb: str
    noun: str
    start_seconds: float
    end_seconds: float
    caption: str
    """The sentence, lower case, without a final stop."""
    narration: str
    """`current`, `neighbour` or `chit-chat`."""
    narrated_action: int
    """The action that the sentence names; -1 for chit-chat."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """The steps of one video, in time order and without gaps."""

    key: str
    """Name of the video inside the corpus."""
    steps: tuple[Step, ...]

    @property
    def seconds(self) -> float:
        """Length of the video."""
        return self.steps[-1].end_seconds


class Kitchen:
    """The world of one config. Suffixes: A actions, 2 = (verb, noun). Build it with `build_kitchen`."""

    def __init__(self, config: KitchenConfig) -> None:
        self.config = config
        self.verbs = VERBS[: config.verbs]
        self.nouns = NOUNS[: config.nouns]
        rng = random_for(config.seed, "kitchen")
        self.actions_A2 = _choose_actions(config, rng)
        weights_A = np.arange(1, config.actions + 1) ** -config.zipf_exponent
        self.popularity_A: NDArray[np.float64] = weights_A / weights_A.sum()
        self.transition_AA = _transitions(config, self.popularity_A, rng)
        self.stationary_A = _stationary(self.transition_AA)

    def recipe(self, key: str) -> Recipe:
        """The recipe of the video `key`; always the same."""
        config = self.config
        rng = random_for(config.seed, f"recipe/{key}")
        count = int(rng.integers(config.steps_min, config.steps_max + 1))
        chain = [int(rng.choice(config.actions, p=self.stationary_A))]
        while len(chain) < count:
            chain.append(int(rng.choice(config.actions, p=self.transition_AA[chain[-1]])))
        steps: list[Step] = []
        clock = 0.0
        for position, action in enumerate(chain):
            end = round(clock + float(rng.uniform(config.step_seconds_min, config.step_seconds_max)), 3)
            kind, narrated = self._narrate(chain, position, rng)
            verb, noun = self.words(action)
            caption = self._sentence(narrated, rng)
            steps.append(
                Step(
                    action=action,
                    verb=verb,
                    noun=noun,
                    start_seconds=clock,
                    end_seconds=end,
                    caption=caption,
                    narration=kind,
                    narrated_action=narrated,
                )
            )
            clock = end
        return Recipe(key=key, steps=tuple(steps))

    def words(self, action: int) -> tuple[str, str]:
        """(verb, noun) of an action."""
        verb, noun = self.actions_A2[action]
        return self.verbs[verb], self.nouns[noun]

    def _narrate(self, chain: list[int], position: int, rng: np.random.Generator) -> tuple[str, int]:
        draw, side = rng.random(2)
        if draw < self.config.narration_current:
            return "current", chain[position]
        if draw >= self.config.narration_current + self.config.narration_neighbour:
            return "chit-chat", -1
        around = [p for p in (position - 1, position + 1) if 0 <= p < len(chain)]
        if not around:
            return "current", chain[position]
        return "neighbour", chain[around[int(side * len(around))]]

    def _sentence(self, narrated: int, rng: np.random.Generator) -> str:
        if narrated < 0:
            return CHATTER[int(rng.integers(len(CHATTER)))]
        verb, noun = self.words(narrated)
        return TEMPLATES[int(rng.integers(len(TEMPLATES)))].format(verb=verb, noun=noun)


@lru_cache(maxsize=8)
def build_kitchen(config: KitchenConfig) -> Kitchen:
    """The world of `config`; building costs milliseconds, so it is kept."""
    return Kitchen(config)


def random_for(seed: int, key: str) -> np.random.Generator:
    """A generator that depends on (seed, key) only."""
    return np.random.default_rng(int.from_bytes(hashlib.sha256(f"{seed}/{key}".encode()).digest()[:16], "big"))


def _choose_actions(config: KitchenConfig, rng: np.random.Generator) -> NDArray[np.int64]:
    """Distinct (verb, noun) pairs in order of popularity; cover every word first, then fill at random."""
    longest = max(config.verbs, config.nouns)
    cover = np.stack([rng.permutation(longest) % config.verbs, rng.permutation(longest) % config.nouns], axis=1)
    flat_cover = np.unique(cover[:, 0] * config.nouns + cover[:, 1])
    rest = np.setdiff1d(np.arange(config.verbs * config.nouns), flat_cover)
    flat = np.concatenate([flat_cover, rng.permutation(rest)[: config.actions - len(flat_cover)]])
    flat = rng.permutation(flat)
    return np.stack([flat // config.nouns, flat % config.nouns], axis=1)


def _transitions(
    config: KitchenConfig, popularity_A: NDArray[np.float64], rng: np.random.Generator
) -> NDArray[np.float64]:
    """Row a holds P(next | a): a few favourites of a, and everything else by popularity."""
    share = np.arange(1, config.successors + 1) ** -config.zipf_exponent
    share = config.successor_probability * share / share.sum()
    transition_AA = np.tile((1 - config.successor_probability) * popularity_A, (config.actions, 1))
    for action in range(config.actions):
        others = np.delete(np.arange(config.actions), action)
        transition_AA[action, rng.choice(others, size=config.successors, replace=False)] += share
    return transition_AA


def _stationary(transition_AA: NDArray[np.float64]) -> NDArray[np.float64]:
    """The distribution that steps have at any position; videos start in it, so position says nothing."""
    actions = len(transition_AA)
    system = np.vstack([transition_AA.T - np.eye(actions), np.ones(actions)])
    target = np.append(np.zeros(actions), 1.0)
    solution = np.clip(np.linalg.lstsq(system, target, rcond=None)[0], 0, None)
    return np.asarray(solution / solution.sum(), np.float64)
