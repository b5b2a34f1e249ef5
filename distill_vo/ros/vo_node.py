"""The program `vo_node`: the visual odometry node in its own process (ros2 run distill_vo vo_node)."""

from distill_vo.errors import InputError
from distill_vo.ros import process


def main(args: list[str] | None = None) -> None:
    """Run the node until SIGINT or SIGTERM (exit code 0); 2 with one sentence for bad parameters."""
    process.run("vo_node", lambda stop: _spin(args, stop))


def _spin(args: list[str] | None, stop: process.Stop) -> int:
    import rclpy
    from rclpy.executors import SingleThreadedExecutor
    from rclpy.utilities import remove_ros_args

    from distill_vo.ros.node import VisualOdometryNode

    process.init(args)
    if left := remove_ros_args(args)[1:]:
        raise InputError(f"arguments {' '.join(left)}: are not ROS's; write --ros-args before parameters.")
    stop.importing = False
    executor = SingleThreadedExecutor()
    node = VisualOdometryNode()
    try:
        executor.add_node(node)
        if not stop.requested:
            node.start()
        while rclpy.ok() and not stop.requested:
            executor.spin_once(0.5)
        node.get_logger().info(str(node.health))
    finally:
        executor.shutdown()
        node.destroy_node()
    return 0


if __name__ == "__main__":
    main()
