"""What comes before a made tool is loaded, beside the thread that makes ticks: its plan, and a trial of a second.

Any of it can be called off: what was planned for it is dropped, and what was attached to try it is closed.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import closing
from functools import partial
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING

from ebtop.capture.loader import Loaded
from ebtop.capture.planerror import PlanError
from ebtop.memory import trim
from ebtop.tick import Focus, Load, Message, Notice, Phase, ToolState
from ebtop.tool import Tool

if TYPE_CHECKING:
    from ebtop.capture.making import Made
    from ebtop.probing.plan import Probing

    _Outcome = Made | list[float] | PlanError


class _Job:
    """Attach points that were asked for, until their tool is loaded or nobody wants them any more."""

    def __init__(self, load: Load, probing: Probing, focus: Focus) -> None:
        self.load, self.probing, self.focus = load, probing, focus
        self.over = threading.Event()


class Preparing:
    """`say` sends a message, `wake` has `go_on` called by the thread that all else is called by, `build` has the
    program of a trial built (`tried` is to be called with it), `load` goes on with a tool that is ready."""

    def __init__(
        self,
        say: Callable[[Message], object],
        wake: Callable[[], object],
        build: Callable[[str, Tool], object],
        load: Callable[[Load, Tool], object],
    ) -> None:
        self._say, self._wake, self._build, self._load = say, wake, build, load
        self._jobs: dict[str, _Job] = {}
        self._asked: SimpleQueue[_Job] = SimpleQueue()
        self._outcomes: SimpleQueue[tuple[_Job, _Outcome]] = SimpleQueue()
        self._planner: threading.Thread | None = None
        self.made: dict[str, Made] = {}

    def begin(self, load: Load, focus: Focus) -> None:
        """Returns at once. What was asked of the same tool before is called off. With a focus on one process it is its
        files that are meant."""
        self.cancel(load.tool)
        if load.probing is None:
            remedy = f"ebtop run {load.tool} -p KIND:NAME; ebtop probes"
            self._fail(load.tool, PlanError("no attach point was asked for", remedy=remedy))
            return
        job = self._jobs[load.tool] = _Job(load, load.probing, focus)
        self._say(ToolState(load.tool, Phase.PLANNING))
        self._asked.put(job)
        if self._planner is None:
            self._planner = threading.Thread(target=self._plan, name="plans", daemon=True)
            self._planner.start()

    def cancel(self, tool: str) -> bool:
        """Call off what was asked of a tool; was there anything? A trial is detached by its own thread."""
        job = self._jobs.pop(tool, None)
        if job:
            job.over.set()
        self.close(tool)
        return job is not None

    def close(self, tool: str) -> None:
        """Its programs are attached, or will never be."""
        if made := self.made.get(tool):
            made.close()

    def tried(self, tool: str, loaded: Loaded) -> None:
        """A trial's programs run, or cannot: then what follows fails for the same reason, and says it."""
        job = self._jobs.get(tool)
        if job is None or loaded.error:
            loaded.close()
            if job:
                self._ready(job)
            return
        points = len(self.made[tool].plan.points)
        threading.Thread(target=self._watch, args=(job, loaded, points), name="trial", daemon=True).start()

    def go_on(self, *, focused: bool) -> None:
        """Take up what the threads are done with. `focused`: not every process counts."""
        while True:
            try:
                job, outcome = self._outcomes.get_nowait()
            except Empty:
                return
            if self._jobs.get(job.load.tool) is job:
                self._take(job, outcome, focused)
            elif not isinstance(outcome, list | PlanError):
                outcome.close()

    def _take(self, job: _Job, outcome: _Outcome, focused: bool) -> None:
        tool = job.load.tool
        if isinstance(outcome, PlanError):
            self.cancel(tool)
            self._fail(tool, outcome)
        elif isinstance(outcome, list):
            from ebtop.capture.trial import too_hot  # there by now

            if hot := too_hot(self.made[tool].plan, outcome, focused):
                self._take(job, PlanError(hot), focused)
            else:
                self._ready(job)
        else:
            self.made[tool] = outcome
            if outcome.trial is None:
                self._ready(job)
            else:
                self._say(ToolState(tool, Phase.TRYING))
                self._build(tool, outcome.trial)

    def _ready(self, job: _Job) -> None:
        tool = job.load.tool
        del self._jobs[tool]
        self._say(self.made[tool].plan)
        self._load(job.load, self.made[tool].tool)

    def _fail(self, tool: str, error: PlanError) -> None:
        if error.usage:
            self._say(Notice(str(error), error=True))
        self._say(ToolState(tool, Phase.FAILED, (), error.tried, str(error), error.remedy))

    # In other threads

    def _plan(self) -> None:
        from ebtop.capture.making import make  # a start need not wait for it
        from ebtop.capture.planning import Planner
        from ebtop.capture.userplanning import View

        planner = Planner()
        while True:
            job = self._asked.get()
            pid = job.focus.pids[0] if len(job.focus.pids) == 1 else 0
            view = View(pid, mapped=not job.focus.follow)  # descendants may have mapped others
            self._end(job, partial(make, planner, job.load.tool, job.probing, view, job.over.is_set))
            trim()  # reading large files took memory

    def _watch(self, job: _Job, loaded: Loaded, points: int) -> None:
        from ebtop.capture.trial import per_second

        with closing(loaded):
            self._end(job, partial(per_second, loaded, points, job.over))

    def _end(self, job: _Job, work: Callable[[], _Outcome]) -> None:
        outcome: _Outcome
        try:
            outcome = work()
        except PlanError as error:
            outcome = error
        except Exception as error:  # noqa: BLE001  whoever waits for a plan must not wait forever
            outcome = PlanError(f"it could not be planned: {type(error).__name__}: {error}", usage=False)
        self._outcomes.put((job, outcome))
        self._wake()
