"""Draws a Scene with Panda3D's own software renderer: no GPU, no X server.

In: static batches of textured quads, movable ones, camera poses. Out: BGR frames (H, W, 3) uint8.
World axes: x east, y north, z up, metres. The camera pose is world_T_camera with optical axes (x right,
y down, z forward); a point projects to K X / Z with pixel centres at integers (OpenCV's convention).

The renderer snaps vertices to whole pixels and has no texture filter, so frames are drawn SUPERSAMPLE
times larger and averaged down: edges get soft and vertices are exact to about a quarter of a pixel (rms).
"""

import cv2
import numpy as np
from panda3d import core

from training.data.meshes import Batch

SUPERSAMPLE = 1.25
# What lies on the road is drawn so many steps of the depth buffer nearer: half a pixel is 44 on a road
# 1.65 m below, at any distance, and road that shows through flickers.
ON_SURFACE = 96
NEAR_M = 1.0  # the depth buffer has 16 bits: the farther the near plane, the less ribbons fight
FAR_M = 1e5  # far beyond everything: texture coordinates are interpolated in 1/z - 1/FAR_M
SIGHT_M = 150.0  # cells of the world beyond this are not drawn

_VERTEX = np.dtype([("position", "<f4", 3), ("colour", "u1", 4), ("uv", "<f4", 2)])

core.load_prc_file_data(
    "",
    "load-display p3tinydisplay\nwindow-type offscreen\nnotify-level fatal\n"
    "notify-level-device fatal\ntextures-power-2 none\n",
)


_bins = core.CullBinManager.get_global_ptr()
# What hides much comes first: what is hidden costs less than what is painted over.
_bins.add_bin("nearest first", core.CullBinManager.BT_front_to_back, 15)
# What lies on the road comes after all that may hide it and leaves the depth as it is: shadows fall on
# paint as they do on the road, whatever the distance.
_bins.add_bin("paint", core.CullBinManager.BT_unsorted, 16)
_bins.add_bin("backdrop", core.CullBinManager.BT_unsorted, 17)
_bins.add_bin("shadow", core.CullBinManager.BT_back_to_front, 18)


class Renderer:
    """One off-screen buffer; a process makes one and reuses it for every world."""

    def __init__(self, width: int, height: int):
        self._size = (width, height)
        w, h = int(width * SUPERSAMPLE), int(height * SUPERSAMPLE)
        self._engine = core.GraphicsEngine.get_global_ptr()
        pipes = core.GraphicsPipeSelection.get_global_ptr()
        pipe = pipes.make_pipe("TinyOffscreenGraphicsPipe", "p3tinydisplay")
        properties = core.FrameBufferProperties()
        properties.set_rgba_bits(8, 8, 8, 8)
        properties.set_depth_bits(16)
        self._buffer = self._engine.make_output(
            pipe, "rehearsal", 0, properties, core.WindowProperties.size(w, h),
            core.GraphicsPipe.BF_refuse_window,
        )  # fmt: skip
        self._target = core.Texture()
        self._buffer.add_render_texture(self._target, core.GraphicsOutput.RTM_copy_ram)
        self._buffer.set_clear_color((0.7, 0.7, 0.7, 1))
        self._region = self._buffer.make_display_region()
        self._textures: dict[int, core.Texture] = {}

    def load(self, scene, textures, K: np.ndarray) -> None:
        """Take a new world: `scene` (meshes.Scene), `textures` name -> textures.Texture, K (3, 3)."""
        w, h = self._size
        self._root = core.NodePath("world")
        self._root.set_two_sided(True)
        # A quad has one colour, and the renderer fills faster where it need not blend between corners.
        self._root.set_attrib(core.ShadeModelAttrib.make(core.ShadeModelAttrib.M_flat))
        self._textures.clear()
        self._cells, centres = [], []
        for (texture, cell), batch in sorted(scene.cells().items()):
            node = self._attach(batch, texture, textures[texture])
            self._cells.append(node)
            centres.append(cell)
        self._centres = np.array(centres, float).reshape(-1, 2)
        self._shown = np.ones(len(centres), bool)
        self._backdrop = self._root.attach_new_node("backdrop")
        for texture, batch in scene.backdrop():
            node = self._attach(batch, texture, textures[texture])
            node.reparent_to(self._backdrop)
            node.set_bin("backdrop", 0)
            node.set_depth_write(False)
        self._movers = []
        for parts in scene.movers():
            mover = self._root.attach_new_node("mover")
            for texture, batch in parts:
                self._attach(batch, texture, textures[texture]).reparent_to(mover)
            self._movers.append(mover)

        lens = core.PerspectiveLens()
        # The renderer's viewport is half a (small) pixel narrower than its buffer; with pixel centres at
        # integers the picture's left and upper edges lie at -0.5.
        width, height = w - 0.5 / SUPERSAMPLE, h - 0.5 / SUPERSAMPLE
        squeeze = K[0, 0] / K[1, 1]
        lens.set_film_size(width, height * squeeze)
        lens.set_focal_length(K[0, 0])
        lens.set_near_far(NEAR_M, FAR_M)
        lens.set_film_offset(width / 2 - (K[0, 2] + 0.5), (K[1, 2] + 0.5 - height / 2) * squeeze)
        self._camera = self._root.attach_new_node(core.Camera("camera", lens))
        self._region.set_camera(self._camera)

    def draw(
        self, world_T_camera: np.ndarray, movers: np.ndarray, visible: np.ndarray
    ) -> np.ndarray:
        """world_T_camera (4, 4), movers' world_T_mover (M, 4, 4), visible (M,) -> BGR (H, W, 3)."""
        R, position = world_T_camera[:3, :3], world_T_camera[:3, 3]
        axes = np.eye(4)  # Panda's camera: x right, y forward, z up; matrices act on rows
        axes[:3, :3] = np.stack([R[:, 0], R[:, 2], -R[:, 1]])
        axes[3, :3] = position
        self._camera.set_mat(core.LMatrix4(*axes.ravel()))
        self._backdrop.set_pos(*position)
        self._cull(position, R[:, 2])
        for node, pose, seen in zip(self._movers, movers, visible, strict=True):
            if seen:
                node.set_mat(core.LMatrix4(*pose.T.ravel()))
                node.show()
            else:
                node.hide()
        self._buffer.set_one_shot(True)  # other renderers of this process rest
        self._engine.render_frame()
        w, h = self._size
        data = np.frombuffer(self._target.get_ram_image(), np.uint8)
        frame = data.reshape(int(h * SUPERSAMPLE), int(w * SUPERSAMPLE), 4)[::-1]
        # So near to its own size, two weighted neighbours are all but the mean over the area.
        frame = cv2.resize(frame, (w, h), interpolation=cv2.INTER_LINEAR)
        return cv2.cvtColor(frame, cv2.COLOR_BGRA2BGR)

    def _cull(self, position: np.ndarray, forward: np.ndarray) -> None:
        """Hide what is too far or behind; Panda itself culls by the cells' bounding boxes."""
        offset = self._centres - position[:2]
        seen = (np.hypot(*offset.T) < SIGHT_M) & (offset @ forward[:2] > -36.0)
        for i in np.flatnonzero(seen != self._shown):
            if seen[i]:
                self._cells[i].show()
            else:
                self._cells[i].hide()
        self._shown = seen

    def _attach(self, batch: Batch, name: str, texture) -> core.NodePath:
        vertices = np.empty(batch.corners.shape[:2], _VERTEX)
        vertices["position"], vertices["uv"] = batch.corners, batch.uv
        vertices["colour"][..., :3] = np.clip(batch.colour * 255, 0, 255)
        vertices["colour"][..., 3] = 255
        data = core.GeomVertexData("quads", core.GeomVertexFormat.get_v3c4t2(), core.Geom.UH_static)
        data.unclean_set_num_rows(vertices.size)
        memoryview(data.modify_array(0)).cast("B")[:] = vertices.tobytes()
        first = 4 * np.arange(len(vertices), dtype=np.uint32)[:, None]
        indices = first + np.array([0, 1, 2, 0, 2, 3], np.uint32)
        triangles = core.GeomTriangles(core.Geom.UH_static)
        triangles.set_index_type(core.Geom.NT_uint32)
        array = triangles.modify_vertices()
        array.unclean_set_num_rows(indices.size)
        memoryview(array).cast("B")[:] = indices.tobytes()
        geometry = core.Geom(data)
        geometry.add_primitive(triangles)
        node = core.GeomNode(name)
        node.add_geom(geometry)
        path = self._root.attach_new_node(node)
        path.set_texture(self._panda_texture(texture))
        if texture.mode == "cutout":
            path.set_transparency(core.TransparencyAttrib.M_binary)
        elif texture.mode == "blend":
            path.set_transparency(core.TransparencyAttrib.M_alpha)
        # By distance: faster, and unlike the default order it does not depend on memory addresses.
        path.set_bin("nearest first", 0)
        for kind in ("paint", "shadow"):
            if name.startswith(kind):
                path.set_bin(kind, 0)
                path.set_depth_offset(ON_SURFACE)
                path.set_depth_write(False)
        if name.startswith(("facade", "shop")):  # only ever walls round a building: none is seen from behind
            path.set_two_sided(False)
        return path

    def _panda_texture(self, texture) -> core.Texture:
        if id(texture) not in self._textures:
            h, w, channels = texture.pixels.shape
            target = core.Texture()
            form = core.Texture.F_rgba if channels == 4 else core.Texture.F_rgb
            target.setup_2d_texture(w, h, core.Texture.T_unsigned_byte, form)
            bgr = texture.pixels[::-1, :, [2, 1, 0, 3][:channels]]  # Panda's rows go upwards
            target.set_ram_image(np.ascontiguousarray(bgr).tobytes())
            target.set_minfilter(core.SamplerState.FT_nearest_mipmap_nearest)
            target.set_magfilter(core.SamplerState.FT_nearest)
            wrap = core.SamplerState.WM_repeat
            target.set_wrap_u(wrap)
            target.set_wrap_v(wrap)
            self._textures[id(texture)] = target
        return self._textures[id(texture)]
