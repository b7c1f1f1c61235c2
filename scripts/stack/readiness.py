"""Whether the stack serves: /readyz asked the plain way."""

import http.client


class ReadinessProbe:
    """Asks /readyz when called; keeps the last answer for the message when it stays unready."""

    def __init__(self, host: str, port: int) -> None:
        self._host = host
        self._port = port
        self.last_answer = "no answer"

    def __call__(self) -> bool:
        connection = http.client.HTTPConnection(self._host, self._port, timeout=1)
        try:
            connection.request("GET", "/readyz")
            response = connection.getresponse()
            self.last_answer = response.read().decode(errors="replace").strip()
            return response.status == 200
        except (OSError, http.client.HTTPException):
            return False  # not listening yet, or still importing
        finally:
            connection.close()
