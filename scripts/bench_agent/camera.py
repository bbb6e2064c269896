"""A network camera for measurements: serves the pictures of a motion-JPEG clip over HTTP, over and over.

    camera.py CLIP FPS PORT_FILE    FPS 0: as fast as they are taken
"""

import http.server
import pathlib
import socketserver
import sys
import time


def pictures(clip: bytes) -> list[bytes]:
    """The JPEGs of a clip. A thumbnail inside one would split it: clips of xbm-train have none."""
    found, at = [], clip.find(b"\xff\xd8")
    while at >= 0:
        end = clip.index(b"\xff\xd9", at) + 2
        found.append(clip[at:end])
        at = clip.find(b"\xff\xd8", end)
    return found


class Camera(http.server.BaseHTTPRequestHandler):
    """Answers every request with the stream."""

    disable_nagle_algorithm = True  # a picture is sent when it is there
    frames: list[bytes] = []
    fps = 0.0

    def log_message(self, *_):
        pass

    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=picture")
        self.end_headers()
        due, n = time.monotonic(), 0
        try:
            while True:
                picture = self.frames[n % len(self.frames)]
                head = f"--picture\r\nContent-Type: image/jpeg\r\nContent-Length: {len(picture)}\r\n\r\n"
                self.wfile.write(head.encode() + picture + b"\r\n")
                n += 1
                if self.fps > 0:
                    due += 1 / self.fps
                    time.sleep(max(0.0, due - time.monotonic()))
        except OSError:
            pass  # nobody looks any more


class Server(socketserver.ThreadingMixIn, socketserver.TCPServer):
    daemon_threads = True


if __name__ == "__main__":
    Camera.frames, Camera.fps = pictures(pathlib.Path(sys.argv[1]).read_bytes()), float(sys.argv[2])
    with Server(("127.0.0.1", 0), Camera) as server:
        pathlib.Path(sys.argv[3]).write_text(str(server.server_address[1]))
        server.serve_forever()
