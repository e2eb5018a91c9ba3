"""Beam's DaskRunner, with what it lacks for the pipelines of this project.

    Create            a part for every few videos; Beam puts 128 into one, which one worker does alone
    ParDo             what a DoFn yields at the end of a bundle is kept; Beam loses it, and with it the last batch of RunInference
    GroupByKey        few parts are shuffled; the tasks of Dask's shuffle grow with the square of their number
    the cluster       is the one of `dask_cluster.connected`; Beam connects for every pipeline and never closes
    the end           when the work fails or is given up, all of it is cancelled and its end is waited for

A part is what one thread of a worker does at a time, what is done again when the worker is lost, and an instance of each DoFn.
"""

from collections.abc import Iterable
from typing import Any

from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.pipeline import Pipeline
from apache_beam.runners.common import DoFnInvoker
from apache_beam.runners.dask import dask_runner, transform_evaluator
from apache_beam.runners.dask.overrides import _Create, _GroupByKeyOnly, dask_overrides
from dask.base import optimize
from distributed import KilledWorker, default_client

from components.core.beam import dask_cluster
from components.core.errors import ClusterError

# Few enough parts that what each costs (a task, a child process that reads videos) does not count; enough that no thread waits long.
PARTS_PER_THREAD = 4
MAX_ITEMS_A_PART = 16
MAX_SHUFFLED_PARTS = 32


def settings_of(options: PipelineOptions) -> tuple[dict[str, Any], dict[str, Any]]:
    """Returns Beam's options as arguments of distributed.Client and of Dask's bags."""
    settings = options.view_as(dask_runner.DaskOptions).get_all_options(drop_default=True, current_only=True)
    parts = dask_runner.DaskOptions._extract_bag_kwargs(settings)
    return settings, parts


class DaskRunner(dask_runner.DaskRunner):
    """Runs a pipeline on the cluster of the surrounding `dask_cluster.connected`."""

    def run_pipeline(self, pipeline: Pipeline, options: PipelineOptions) -> "Result":
        """Starts the work."""
        client = default_client()
        pipeline.replace_all(dask_overrides())
        visitor: Any = self.to_dask_bag_visitor(settings_of(options)[1])
        pipeline.visit(visitor)
        last = list(visitor.bags.values())[-1]
        return Result(client, client.compute(optimize(last)))


class Result(dask_runner.DaskRunnerResult):
    """The work of a pipeline on a cluster."""

    def wait_until_finish(self, duration: int | None = None) -> str:
        """Waits for the end; what ends it early, Ctrl-C too, cancels what is left.

        Raises:
            ClusterError: the cluster was lost.
        """
        try:
            return self._wait(duration)
        except BaseException:
            dask_cluster.stop(self.client, self.futures)
            raise

    def _wait(self, duration: int | None) -> str:
        try:
            state = super().wait_until_finish(duration)
        except KilledWorker as error:
            raise ClusterError(
                f"workers of Dask died again and again at one part of the work ({error.task}); look whether they are short of memory, and "
                "start it again."
            ) from None
        # Work that is cancelled, as all is when the scheduler is lost, ends Dask's wait without an error.
        if any(future.status != "finished" for future in self.futures):
            raise ClusterError("the work on Dask was cancelled, or the connection to its scheduler was lost; start it again.")
        return state


class Create(transform_evaluator.Create):
    """The items of beam.Create, cut into parts."""

    def apply(self, input_bag: Any, side_inputs: Any = None) -> Any:
        """Returns them as a bag."""
        if not self.bag_kwargs:
            num_threads = sum(default_client().nthreads().values())
            size = len(self.transform.values) // (PARTS_PER_THREAD * num_threads)
            self.bag_kwargs = {"partition_size": min(max(size, 1), MAX_ITEMS_A_PART)}
        return super().apply(input_bag, side_inputs)


class GroupByKey(transform_evaluator.GroupByKey):
    """A shuffle."""

    def apply(self, input_bag: Any, side_inputs: Any = None) -> Any:
        """Returns the bag of groups."""
        return super().apply(input_bag.repartition(npartitions=min(input_bag.npartitions, MAX_SHUFFLED_PARTS)), side_inputs)


def _apply_to_bundle(items: Iterable[Any], arguments: list[Any], keywords: dict[str, Any], receivers: Any) -> list[Any]:
    """Runs a DoFn over a part, as the function of the same arguments in transform_evaluator."""
    invoker = DoFnInvoker.create_invoker(*arguments, **keywords)
    receivers.values.clear()
    invoker.invoke_setup()
    try:
        invoker.invoke_start_bundle()
        for item in items:
            invoker.invoke_process(item)
        invoker.invoke_finish_bundle()
    finally:
        invoker.invoke_teardown()
    return [value.value for value in receivers.values]


transform_evaluator.TRANSLATIONS.update({_Create: Create, _GroupByKeyOnly: GroupByKey})
transform_evaluator.apply_dofn_to_bundle = _apply_to_bundle
