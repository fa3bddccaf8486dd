"""A robot whose control loop must not wait for its detector; the graph of robot.toml in Python."""

from __future__ import annotations

import abc
import math
from dataclasses import dataclass

import limen
from limen.message import Message
from limen.node import NodePorts
from limen.platform import PlatformClock
from limen.types import PayloadSpec, Ticks, parse_duration_ns

TILES = 16
"""Parts of a frame: a call into the detector handles one."""

CLEAR_M = 2.0
"""What is closer makes the robot slow down."""


@dataclass(frozen=True, slots=True)
class Pose:
    """Where the robot heads, by its inertial sensor."""

    heading: float


@dataclass(frozen=True, slots=True)
class Scan:
    """How far away the nearest thing is, by the range sensor."""

    nearest_m: float


@dataclass(frozen=True, slots=True)
class Tile:
    """A part of a frame, with what there is in it to be found.

    Attributes:
        number: Of its frame's parts, from 0.
        candidates: Places that a detector has to look at.
        nearest_m: How far away the nearest thing in it is.
    """

    number: int
    candidates: int
    nearest_m: float


@dataclass(frozen=True, slots=True)
class Sighting:
    """How far away the nearest thing in a tile is, or in a frame, by the detector."""

    number: int
    nearest_m: float


@dataclass(frozen=True, slots=True)
class Command:
    """What the motors are to do, and why."""

    speed: float
    turn: float
    why: str


def obstacle_m(seconds: float) -> float:
    """Return how far away the thing ahead is: it comes and goes."""
    return 1.5 + abs(seconds % 1.0 - 0.5) * 4


class Device(limen.Source):
    """Makes a reading at each instant of a grid, and ends.

    Args:
        every: The grid.
        lasts: How long it goes on.
    """

    def __init__(self, every: str, lasts: str) -> None:
        self.every, self.lasts = every, lasts

    def open(self, clock: PlatformClock, now: Ticks) -> None:
        """Begin the grid."""
        self._clock = clock
        self._begin = self._due = now
        self._period = clock.duration_to_ticks(parse_duration_ns(self.every, what="every"))
        self._end = now + clock.duration_to_ticks(parse_duration_ns(self.lasts, what="lasts"))

    def next_due(self) -> Ticks:
        """Return the instant of the next reading."""
        return self._due

    def try_produce(self, now: Ticks) -> limen.Produced | limen.SourceSignal:
        """Make the reading that is due; it counts as made when it was due."""
        if self._due >= self._end:
            return limen.SourceSignal.END_OF_STREAM
        due = self._due
        self._due = Ticks(due + self._period)
        return self.read(due, self._clock.ticks_to_nanos(due - self._begin))

    @abc.abstractmethod
    def read(self, due: Ticks, since_ns: int) -> limen.Produced | limen.SourceSignal:
        """Return the reading of an instant, also given since the beginning."""


class Imu(Device):
    """An inertial sensor; what comes of a reading has to be with the motors within a time.

    Args:
        every: Between two readings.
        lasts: How long it goes on.
        within: From reading to motors.
    """

    def __init__(self, every: str, lasts: str, within: str) -> None:
        super().__init__(every, lasts)
        self.within = within

    def spec(self) -> PayloadSpec:
        """Poses."""
        return limen.ObjectSpec(Pose)

    def read(self, due: Ticks, since_ns: int) -> limen.Produced:
        """Sway a little."""
        within_ns = parse_duration_ns(self.within, what="within")
        return limen.Produced(
            Pose(0.1 * math.sin(since_ns / 1e9)),
            creation_tick=due,
            deadline_ns=self._clock.ticks_to_nanos(due) + within_ns,
        )


class Lidar(Device):
    """A range sensor that has nothing to say for a while.

    Args:
        every: Between two scans.
        lasts: How long it goes on.
        frozen: From when to when it is silent.
    """

    def __init__(self, every: str, lasts: str, frozen: tuple[str, str]) -> None:
        super().__init__(every, lasts)
        self.frozen = frozen

    def spec(self) -> PayloadSpec:
        """Scans."""
        return limen.ObjectSpec(Scan)

    def read(self, due: Ticks, since_ns: int) -> limen.Produced | limen.SourceSignal:
        """Measure, unless it is frozen."""
        if _is_within(since_ns, self.frozen):
            return limen.SourceSignal.NOTHING_NOW
        return limen.Produced(Scan(obstacle_m(since_ns / 1e9)), creation_tick=due)


class Camera(Device):
    """A camera that hands each frame over in tiles; for a while there is much to be seen.

    Args:
        every: Between two frames.
        lasts: How long it goes on.
        cluttered: From when to when.
    """

    def __init__(self, every: str, lasts: str, cluttered: tuple[str, str]) -> None:
        super().__init__(every, lasts)
        self.cluttered = cluttered

    def open(self, clock: PlatformClock, now: Ticks) -> None:
        """Begin with a frame's first tile."""
        super().open(clock, now)
        self._number = 0

    def spec(self) -> PayloadSpec:
        """Tiles."""
        return limen.ObjectSpec(Tile)

    def read(self, due: Ticks, since_ns: int) -> limen.Produced:
        """Hand over the next tile; those of one frame are all due at once."""
        number = self._number
        self._number = (number + 1) % TILES
        if self._number:
            self._due = due
        ahead = number == TILES // 2
        return limen.Produced(
            Tile(
                number,
                candidates=20 if _is_within(since_ns, self.cluttered) else 5,
                nearest_m=obstacle_m(since_ns / 1e9) if ahead else math.inf,
            ),
            creation_tick=due,
        )


class Detector(limen.ProcessNode):
    """Stands in for a detector: takes its time, which grows with what there is to look at.

    Args:
        base: What every tile takes.
        each: What each candidate adds.
        resolution_m: Step in which it tells distances.
    """

    def __init__(self, base: str, each: str, resolution_m: float) -> None:
        self.base, self.each, self.resolution_m = base, each, resolution_m

    def initialize(self, clock: PlatformClock, ports: NodePorts) -> None:
        """Keep the clock."""
        self._clock = clock
        self._base_ns = parse_duration_ns(self.base, what="base")
        self._each_ns = parse_duration_ns(self.each, what="each")

    def process(self, tile: Tile) -> Sighting:
        """Look at every candidate."""
        take(self._clock, self._base_ns + self._each_ns * tile.candidates)
        if math.isinf(tile.nearest_m):
            return Sighting(tile.number, math.inf)
        steps = math.floor(tile.nearest_m / self.resolution_m)
        return Sighting(tile.number, steps * self.resolution_m)


def take(clock: PlatformClock, duration_ns: int) -> None:
    """Be busy for a time: a simulated clock is moved on, a real one is waited for by computing."""
    ticks = clock.duration_to_ticks(duration_ns)
    until = clock.now_ticks() + ticks
    clock.charge(ticks)
    while clock.now_ticks() < until:
        math.sqrt(2)


class Nearest(limen.ProcessNode):
    """Makes one sighting a frame of those of its tiles."""

    def start(self, now: Ticks) -> None:
        """Begin with nothing seen."""
        self._nearest_m = math.inf

    def process(self, sighting: Sighting) -> Sighting | None:
        """Keep the nearest, and give it at the last tile."""
        first, last = sighting.number == 0, sighting.number == TILES - 1
        self._nearest_m = min(math.inf if first else self._nearest_m, sighting.nearest_m)
        return Sighting(sighting.number, self._nearest_m) if last else None


class Control(limen.ProcessNode):
    """Steers by the pose, and drives as fast as what it knows of what is ahead allows."""

    def process(self, pose: Pose | None, ahead: Scan | None, seen: Sighting | None) -> Command:
        """Decide on speed and turn; each input may be missing."""
        if pose is None:
            return Command(0.0, 0.0, "stop: no pose")
        turn = -2.0 * pose.heading
        if ahead is None:
            return Command(0.2, turn, "creep: no fresh range")
        if seen is None:
            return Command(0.5, turn, "slow: no fresh sighting")
        if min(ahead.nearest_m, seen.nearest_m) < CLEAR_M:
            return Command(0.5, turn, "slow: something ahead")
        return Command(1.0, turn, "clear")


class Motors(limen.Sink):
    """Stands in for motors: keeps the last command."""

    def spec(self) -> PayloadSpec:
        """Commands."""
        return limen.ObjectSpec(Command)

    def consume(self, message: Message, now: Ticks) -> None:
        """Do as told."""
        self.doing = message.payload


class Log(limen.Sink):
    """Prints a line whenever the reason of what the robot does has changed."""

    def spec(self) -> PayloadSpec:
        """Commands."""
        return limen.ObjectSpec(Command)

    def open(self, clock: PlatformClock, spec: PayloadSpec) -> None:
        """Begin with no reason."""
        self._clock, self._why, self._begin = clock, "", clock.now_ticks()

    def consume(self, message: Message, now: Ticks) -> None:
        """Print a change."""
        command = message.payload
        if isinstance(command, Command) and command.why != self._why:
            self._why = command.why
            seconds = self._clock.ticks_to_nanos(now - self._begin) / 1e9
            print(f"{seconds:5.1f} s  {command.why}")


def _is_within(since_ns: int, span: tuple[str, str]) -> bool:
    begin, end = (parse_duration_ns(text, what="a span") for text in span)
    return begin <= since_ns < end


def robot(stretch: int = 1) -> limen.Graph:
    """Build the graph.

    Args:
        stretch: Makes the run, the clutter and the silence so many times as long.
    """

    def at(ms: int) -> str:
        return f"{stretch * ms}ms"

    safety, best = limen.CriticalityClass.SAFETY_CRITICAL, limen.CriticalityClass.BEST_EFFORT
    newest, kept = limen.EdgePolicy.mailbox_latest(), limen.EdgePolicy.latch_latest()
    graph = limen.Graph("robot", scheduler="criticality")
    graph.add(
        "imu",
        Imu(every="1ms", lasts=at(3000), within="1500us"),
        limen.NodePolicy(criticality=safety, sim_cost="10us"),
    )
    graph.add(
        "lidar",
        Lidar(every="25ms", lasts=at(3000), frozen=(at(2000), at(2400))),
        limen.NodePolicy(criticality=safety, sim_cost="20us"),
    )
    graph.add(
        "camera",
        Camera(every="33ms", lasts=at(3000), cluttered=(at(500), at(1500))),
        limen.NodePolicy(sim_cost="5us"),
    )
    graph.add(
        "detect",
        Detector(base="150us", each="20us", resolution_m=0.1),
        limen.NodePolicy(
            budget=limen.Budget("450us", "900us", limen.Degrade(degrade_after=2, recover_after=16)),
        ),
        variant=Detector(base="50us", each="2us", resolution_m=1.0),
    )
    graph.add("nearest", Nearest(), limen.NodePolicy(sim_cost="5us"))
    graph.add(
        "control",
        Control(),
        limen.NodePolicy(
            activation=limen.Periodic("1ms"),
            liveness=limen.Liveness(max_step_gap="2ms"),
            budget="400us",
            inputs={
                "pose": limen.InputPolicy(max_gap="3ms"),
                "ahead": limen.InputPolicy("60ms", "40ms"),
                "seen": limen.InputPolicy("100ms"),
            },
            criticality=safety,
            sim_cost="50us",
        ),
    )
    graph.add(
        "motors",
        Motors(),
        limen.NodePolicy(
            freshness=limen.Freshness("2ms", "120ms"), criticality=safety, sim_cost="10us"
        ),
    )
    graph.add(
        "log",
        Log(),
        limen.NodePolicy(
            activation=limen.Periodic("100ms"),
            deadline=limen.Deadline(slack="1s"),
            criticality=best,
            sim_cost="50us",
        ),
    )
    graph.connect("imu", "control.pose", newest)
    graph.connect("lidar", "control.ahead", kept)
    graph.connect("camera", "detect", limen.EdgePolicy.drop_oldest(2 * TILES))
    graph.connect("detect", "nearest", limen.EdgePolicy.block(TILES))
    graph.connect("nearest", "control.seen", kept)
    graph.connect("control", "motors", newest)
    return graph.connect("control", "log", newest)


if __name__ == "__main__":
    print(limen.run(robot()))
