"""What keeps images from coming, in sentences a user can act on."""

from rclpy.node import Node
from rclpy.qos import QoSCompatibility, qos_check_compatible
from rclpy.subscription import Subscription


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
        others = [name for name, types in node.get_topic_names_and_types()
                  if kind in types and name != topic and node.count_publishers(name)]
        said += f"; remap it to one of {', '.join(sorted(others)[:5])}" if others else \
            "; is the camera driver running, in the same ROS_DOMAIN_ID?"
    return said
