"""Builds a MEAD-3D on a two-node Ray cluster of this machine, and kills the second node.

python ray_build.py MEAD MESHES BASIS OUT
"""

import sys
import time
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from expclip.mead3d.meshes import ReadyMeshes
from expclip.mead3d.reconstruct import Reconstruction, Shot

warnings.simplefilter("ignore")  # Ray's own


@dataclass(frozen=True)
class StuckOn:
    """Ready meshes that are never done on one node, and leave a mark there."""

    meshes: ReadyMeshes
    node: str
    mark: Path

    @property
    def name(self) -> str:
        return self.meshes.name

    def reconstruct(self, shots: Sequence[Shot]) -> list[Reconstruction]:
        import ray

        if ray.get_runtime_context().get_node_id() == self.node:
            self.mark.touch()
            time.sleep(600)
        return self.meshes.reconstruct(shots)


def main(root: str, meshes: str, basis: str, out: str) -> None:
    import ray
    from ray.cluster_utils import Cluster

    from expclip.face.mesh import read_basis
    from expclip.mead3d.build import BuildPlan, build
    from expclip.mead3d.executors import RayCluster
    from expclip.mead3d.index import index_mead

    node = {"num_cpus": 1, "object_store_memory": 100 << 20}
    cluster = Cluster(initialize_head=True, head_node_args={**node, "include_dashboard": False})
    second = cluster.add_node(**node)
    ray.init(address=cluster.address, log_to_driver=False, logging_level="ERROR")
    stuck = StuckOn(ReadyMeshes(Path(meshes)), second.node_id, Path(f"{out}.mark"))

    def after(what: str, done: int, total: int) -> None:
        """Kill the second node as soon as it has work."""
        if what != "frames" or not done or not second.live_processes():
            return
        while not stuck.mark.exists():
            time.sleep(0.05)
        cluster.remove_node(second, allow_graceful=False)
        sys.stdout.write(f"killed a node after {done} of {total} frames\n")

    plan = BuildPlan(stuck, frames=160, basis=read_basis(basis))
    build(out, index_mead(root), plan, executor=RayCluster(), progress=after)
    ray.shutdown()
    cluster.shutdown()


if __name__ == "__main__":
    main(*sys.argv[1:])
