"""The desk: three analysts have their say, the trader decides. This is what a user writes."""

from typing import Any

import requests
from switchyard_client import Attempt, SwitchyardClient

ANALYSTS = ("market-analyst", "news-analyst", "risk-manager")


class Desk:
    """Agents that ask Switchyard whom to call each time they call somebody."""

    def __init__(self, client: SwitchyardClient) -> None:
        self._client = client

    def discuss(self, ticker: str) -> dict[str, str]:
        """What each analyst says."""
        question = f"What about {ticker}?"
        return {name: self.ask(name, question, task="analysis") for name in ANALYSTS}

    def decide(self, ticker: str, opinions: dict[str, str]) -> Any:
        """What the trader makes of it: an instance of the model of its task's schema."""
        question = "\n".join([f"Trade {ticker}?", *opinions.values()])
        answer = self.ask("trader", question, task="decision")
        return self._client.agent("trader").response_model("decision").model_validate_json(answer)

    def ask(self, agent_id: str, question: str, *, task: str) -> str:
        """One question to one agent, over its whole chain if need be."""
        system = self._client.agent(agent_id).prompts.system_prompt
        messages = [
            {"role": "system", "content": system},
            {"role": "user", "content": question},
        ]
        for attempt in self._client.attempts(agent_id, task=task):
            with attempt:
                reply = complete(attempt, messages)
                attempt.record(reply)
        answer: str = reply["choices"][0]["message"]["content"]
        return answer


def complete(attempt: Attempt, messages: list[dict[str, Any]]) -> dict[str, Any]:
    """A chat completion; with the `openai` package: `OpenAI(**attempt.openai())...create(...)`."""
    arguments = attempt.openai()
    answer = requests.post(
        f"{arguments['base_url']}/chat/completions",
        headers={"Authorization": f"Bearer {arguments['api_key']}"},
        json={"model": attempt.model, "messages": messages, **attempt.parameters()},
        timeout=attempt.timeout,
    )
    answer.raise_for_status()
    reply: dict[str, Any] = answer.json()
    return reply
