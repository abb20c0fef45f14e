"""MEAD-3D: from videos of faces, or meshes made of them, to blendshape weights."""

from expclip.mead3d.alignment import Alignment
from expclip.mead3d.build import BuildPlan, build
from expclip.mead3d.executors import Processes, RayCluster
from expclip.mead3d.fit import Fit, FitOptions, fit_meshes, fit_weights
from expclip.mead3d.frames import sample_frames
from expclip.mead3d.index import Clip, MeadIndex, index_list, index_mead
from expclip.mead3d.landmarker import FaceLandmarker
from expclip.mead3d.meshes import ReadyMeshes
from expclip.mead3d.reconstruct import Reconstruction, Reconstructor
from expclip.mead3d.rows import PictureOptions
from expclip.mead3d.solver import BoxSolution, kkt_residual, solve_gram

__all__ = [
    "Alignment",
    "BoxSolution",
    "BuildPlan",
    "Clip",
    "FaceLandmarker",
    "Fit",
    "FitOptions",
    "MeadIndex",
    "PictureOptions",
    "Processes",
    "RayCluster",
    "ReadyMeshes",
    "Reconstruction",
    "Reconstructor",
    "build",
    "fit_meshes",
    "fit_weights",
    "index_list",
    "index_mead",
    "kkt_residual",
    "sample_frames",
    "solve_gram",
]
