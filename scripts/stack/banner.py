"""What `make up` prints once the stack serves."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Banner:
    """Everything a first user needs; the password is None when it was not made just now."""

    url: str
    data_dir: str
    admin_email: str
    admin_password: str | None
    client_token: str | None
    seconds: float

    def text(self) -> str:
        lines = [
            "",
            f"Switchyard is ready at {self.url} (after {self.seconds:.1f} s; Ctrl-C stops it)",
            f"  data      {self.data_dir}",
            f"  admin     {self.url}/admin/",
            f"  e-mail    {self.admin_email}",
            f"  password  {self.admin_password or '(as set before)'}",
            *self._client_lines(),
            "",
        ]
        return "\n".join(lines)

    def _client_lines(self) -> list[str]:
        if self.client_token is None:
            return ["  token     (none kept here; make one in the admin interface)"]
        return [
            f"  token     {self.client_token}",
            "",
            "Read an agent's configuration (.venv/bin/python, or pip install ./client):",
            "",
            "  from switchyard_client import SwitchyardClient",
            f'  client = SwitchyardClient("{self.url}", token="{self.client_token}")',
            '  print(client.get_agent_config("default"))',
        ]
