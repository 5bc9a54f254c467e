"""A client of the running API that keeps account of every job it was promised."""

from typing import Any

import httpx

from deploy.compose_test import stack

_TERMINAL = {"succeeded", "failed", "cancelled", "dead"}


class Client:
    """Calls the API with a key; `accepted` holds the id of every job that was answered 202."""

    def __init__(self, url: str, *, key: str) -> None:
        """Use an API's address and a key with the scope `admin`."""
        self.accepted: list[str] = []
        self._http = httpx.Client(base_url=url, headers={"Authorization": f"Bearer {key}"}, timeout=30)

    def get(self, path: str, **query: str | int) -> Any:
        """Get a JSON document."""
        return self._http.get(path, params=query).raise_for_status().json()

    def submit(self, kind: str, params: dict[str, Any]) -> str:
        """Submit a job and return its id."""
        return self._accept(self._http.post("/v1/jobs", json={"kind": kind, "params": params}))

    def upload(self, name: str, csv: str) -> str:
        """Upload a CSV as a dataset's next version and return the job's id."""
        headers = {"Content-Type": "text/csv"}
        return self._accept(self._http.post(f"/v1/datasets/{name}", content=csv, headers=headers))

    def wait_for_all(self, *, seconds: float) -> None:
        """Wait until every accepted job has ended; raise AssertionError when one did not succeed."""
        stack.wait_for(lambda: not self.unfinished(), what="every job's end", seconds=seconds, why_not=self.unfinished)
        ends = [self.get(f"/v1/jobs/{job_id}") for job_id in self.accepted]
        bad = {job["id"]: (job["state"], job["error"]) for job in ends if job["state"] != "succeeded"}
        if bad:
            raise AssertionError(f"these jobs were accepted and did not succeed: {bad}")

    def unfinished(self) -> dict[str, str]:
        """List the accepted jobs that have not ended, each with its state."""
        states = self.every_job()
        return {job_id: states[job_id] for job_id in self.accepted if states[job_id] not in _TERMINAL}

    def every_job(self) -> dict[str, str]:
        """List all jobs of all roles, each with its state, page by page."""
        states: dict[str, str] = {}
        page = self.get("/v1/jobs", limit=100)
        while True:
            states |= {job["id"]: job["state"] for job in page["jobs"]}
            if not page["next_cursor"]:
                return states
            page = self.get("/v1/jobs", limit=100, cursor=page["next_cursor"])

    def _accept(self, answer: httpx.Response) -> str:
        if answer.status_code != httpx.codes.ACCEPTED:
            raise AssertionError(f"{answer.request.url} was answered {answer.status_code}: {answer.text[:500]}")
        self.accepted.append(answer.json()["id"])
        return self.accepted[-1]
