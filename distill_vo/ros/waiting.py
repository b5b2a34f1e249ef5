"""What keeps images from coming, in sentences a user can act on."""

from rclpy.node import Node
from rclpy.qos import QoSCompatibility, qos_check_compatible
from rclpy.subscription import Subscription
from sensor_msgs.msg import CompressedImage

COMPRESSED = "/compressed"  # the end of the topic of an image_transport of this name


def compressed(topic: str) -> str:
    """The topic of an image's compressed transport, whether or not that was named itself."""
    return topic.removesuffix(COMPRESSED) + COMPRESSED


def why_nothing_comes(node: Node, subscription: Subscription) -> str:
    """Of a topic nothing came on: who publishes it, and which of them do not fit this subscription."""
    topic, wanted = subscription.topic_name, subscription.msg_type
    kind = f"{wanted.__module__.split('.')[0]}/msg/{wanted.__name__}"
    publishers = node.get_publishers_info_by_topic(topic)
    said = f"nothing on {topic} ({kind}); it has {len(publishers)} publishers"
    for publisher in publishers:
        name = f"{publisher.node_namespace.rstrip('/')}/{publisher.node_name}"
        if publisher.topic_type != kind:
            said += f"; {name} publishes {publisher.topic_type} there"
            continue
        fits, why = qos_check_compatible(publisher.qos_profile, subscription.qos_profile)
        if fits == QoSCompatibility.ERROR:
            said += (f"; the QoS of {name} does not fit ({why.strip('; ')}): set image_reliability to "
                     "best_effort")
    if not publishers:
        end = COMPRESSED if wanted is CompressedImage else ""
        others = [name.removesuffix(end) for name, types in node.get_topic_names_and_types()
                  if kind in types and name != topic and name.endswith(end) and node.count_publishers(name)]
        what = "image" if end else "it"
        said += f"; remap {what} to one of {', '.join(sorted(others)[:5])}" if others else \
            "; is the camera driver running, in the same ROS_DOMAIN_ID?"
    return said
