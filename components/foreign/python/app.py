"""A plain component of stock tools: answers, and tries what it is asked to try.

Each path tells what came of its attempt as a line of text, or the error as Python met it, with its
`errno` where it has one. Whether it may is the host's to say.
"""

import encodings.idna  # what a look-up needs; a module that is not loaded at build time is missing later
import errno
import os
import socket
from urllib.parse import parse_qs, urlsplit

from componentize_py_types import Err, Ok
from wit_world import exports
from wit_world.imports import outgoing_handler, types


def index(_query):
    return "python"


def connect(query):
    """Opens a TCP connection to `to`, a host and a port."""
    family, to = place(query["to"])
    with socket.socket(family, socket.SOCK_STREAM) as stream:
        stream.connect(to)
        return "connected"


def send(query):
    """Sends a datagram to `to`."""
    family, to = place(query["to"])
    with socket.socket(family, socket.SOCK_DGRAM) as datagrams:
        return f"sent {datagrams.sendto(b'probe', to)}"


def listen(query):
    """Listens for connections at `at`."""
    family, at = place(query["at"])
    with socket.socket(family, socket.SOCK_STREAM) as listener:
        listener.bind(at)
        listener.listen()
        return "listening"


def place(text):
    """`127.0.0.1:80`, `[::1]:80` and `localhost:80`, for a socket; a name is looked up as IPv4."""
    host, _, port = text.rpartition(":")
    family = socket.AF_INET6 if host.startswith("[") else socket.AF_INET
    return family, (host.strip("[]"), int(port))


def resolve(query):
    """Looks the name `name` up."""
    return " ".join(sorted({found[4][0] for found in socket.getaddrinfo(query["name"], 80)}))


def read(query):
    """Reads the file `path`."""
    with open(query["path"], encoding="utf-8") as file:
        return file.read()


def environment(query):
    """The variable `name`, or that it is absent."""
    return os.environ.get(query["name"], "absent")


def fetch(query):
    """Asks for `url` and tells the status of the answer."""
    url = urlsplit(query["url"])
    request = types.OutgoingRequest(types.Fields())
    request.set_scheme(types.Scheme_Https() if url.scheme == "https" else types.Scheme_Http())
    request.set_authority(url.netloc)
    request.set_path_with_query(url.path or "/")
    future = outgoing_handler.handle(request, None)
    future.subscribe().block()
    came = future.get().value  # there after `block`, and taken for the first time
    if isinstance(came, Err):
        raise came
    return str(came.value.status())


BEHAVIOURS = {
    "/": index,
    "/connect": connect,
    "/send": send,
    "/listen": listen,
    "/resolve": resolve,
    "/open": read,
    "/env": environment,
    "/fetch": fetch,
}


LOOKUP_ERRORS = {getattr(socket, name): name for name in dir(socket) if name.startswith("EAI_")}


def told(error):
    """`PermissionError EACCES`, `gaierror EAI_FAIL`, `ErrorCode_HttpRequestDenied`."""
    if isinstance(error, Err):
        return type(error.value).__name__
    names = LOOKUP_ERRORS if isinstance(error, socket.gaierror) else errno.errorcode
    return f"{type(error).__name__} {names.get(error.errno, error.errno)}"


class IncomingHandler(exports.IncomingHandler):
    def handle(self, request, response_out):
        url = urlsplit(request.path_with_query() or "/")
        query = {name: values[0] for name, values in parse_qs(url.query).items()}
        behaviour = BEHAVIOURS.get(url.path)
        if behaviour is None:
            return answer(response_out, 404, "no such behaviour")
        try:
            return answer(response_out, 200, behaviour(query))
        except (OSError, Err) as error:
            return answer(response_out, 403, told(error))


def answer(response_out, status, text):
    response = types.OutgoingResponse(types.Fields.from_list([("content-type", b"text/plain; charset=utf-8")]))
    response.set_status_code(status)
    body = response.body()
    types.ResponseOutparam.set(response_out, Ok(response))
    with body.write() as stream:
        stream.blocking_write_and_flush(f"{text}\n".encode()[:4096])
    types.OutgoingBody.finish(body, None)
