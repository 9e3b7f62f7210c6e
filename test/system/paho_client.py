"""Eclipse Paho's Python client as a device: one life of a session, told as one JSON object.

    paho_client.py TRANSPORT PORT CA_FILE DEVICE FRAME_FILE

Two connections with clean session 0. In the first it subscribes to its own
down topic and to a foreign one, waits for the retained release, publishes the
frame and waits for its PUBACK. The second only looks what the gateway kept.
Python's standard library and paho-mqtt, nothing of ours.
"""

import json
import sys
import threading

import paho.mqtt.client as mqtt

TRANSPORT, PORT, CA_FILE, DEVICE, FRAME_FILE = sys.argv[1:]
TIMEOUT_S = 30
story = {"connacks": [], "sessionPresent": [], "granted": [], "messages": [], "acked": False}
connected, subscribed, heard, acked, gone = (threading.Event() for _ in range(5))


def on_connect(client, userdata, flags, code):
    story["connacks"].append(code)
    story["sessionPresent"].append(flags["session present"])
    connected.set()


def on_subscribe(client, userdata, mid, granted):
    story["granted"] = list(granted)
    subscribed.set()


def on_message(client, userdata, message):
    story["messages"].append(
        {"topic": message.topic, "retain": message.retain, "qos": message.qos, "dup": message.dup}
    )
    heard.set()


def on_publish(client, userdata, mid):
    acked.set()


def wait(event, what):
    if not event.wait(TIMEOUT_S):
        story["error"] = "no " + what
        print(json.dumps(story))
        sys.exit(1)
    event.clear()


client = mqtt.Client(
    client_id=DEVICE,
    clean_session=False,
    protocol=mqtt.MQTTv311,
    transport="websockets" if TRANSPORT == "ws" else "tcp",
)
client.username_pw_set("default/" + DEVICE)
if TRANSPORT == "tls":
    client.tls_set(ca_certs=CA_FILE)
client.on_connect = on_connect
client.on_subscribe = on_subscribe
client.on_message = on_message
client.on_publish = on_publish
client.on_disconnect = lambda *_: gone.set()

client.connect("127.0.0.1", int(PORT), keepalive=20)
client.loop_start()
wait(connected, "CONNACK")
client.subscribe(
    [("omega/v1/default/d/%s/down" % DEVICE, 1), ("omega/v1/default/d/somebody-else/down", 1)]
)
wait(subscribed, "SUBACK")
wait(heard, "retained message")
with open(FRAME_FILE, "rb") as file:
    client.publish("omega/v1/default/d/%s/up" % DEVICE, file.read(), qos=1)
wait(acked, "PUBACK")
story["acked"] = True
client.disconnect()
wait(gone, "end of the first connection")
client.loop_stop()

client.reconnect()
client.loop_start()
wait(connected, "second CONNACK")
client.disconnect()
wait(gone, "end of the second connection")
client.loop_stop()
print(json.dumps(story))
