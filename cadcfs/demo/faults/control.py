"""The control of faults over HTTP: `/demo/faults`."""

from __future__ import annotations

import json

import trio
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from cadcfs.demo.faults.kinds import FaultError
from cadcfs.demo.faults.rules import Fault, Faults
from cadcfs.demo.faults.versions import Versions

CONTROL_PATH = "/demo/faults"


class FaultControl:
    """Lists, adds and ends faults, by JSON or by calls."""

    def __init__(self, versions: Versions) -> None:
        """Control the faults of one server and the versions of its files."""
        self.faults = Faults()
        self._versions = versions

    def routes(self) -> list[Route]:
        """Return the routes of the control."""
        return [
            Route(CONTROL_PATH, self._list, methods=["GET"]),
            Route(CONTROL_PATH, self._add, methods=["POST"]),
            Route(CONTROL_PATH, self._clear, methods=["DELETE"]),
            Route(f"{CONTROL_PATH}/{{number:int}}", self._remove, methods=["DELETE"]),
        ]

    async def add(self, fault: Fault) -> int:
        """Put a fault into force; return its number."""
        options = fault.options
        if fault.kind == "replaced":
            await trio.to_thread.run_sync(self._versions.replace, options["uri"])
            fault.claim()
        elif fault.kind == "embargo":
            await trio.to_thread.run_sync(
                self._versions.embargo, options["uri"], options["seconds"]
            )
            fault.claim()
        return self.faults.add(fault)

    async def remove(self, number: int) -> bool:
        """End a fault; say whether there was one of that number."""
        fault = self.faults.remove(number)
        if fault is not None and fault.kind in ("replaced", "embargo"):
            mend = self._versions.restore if fault.kind == "replaced" else self._versions.lift
            await trio.to_thread.run_sync(mend, fault.options["uri"])
        return fault is not None

    async def _list(self, _request: Request) -> Response:
        return JSONResponse([fault.as_json(number) for number, fault in self.faults.items()])

    async def _add(self, request: Request) -> Response:
        try:
            told = json.loads(await request.body())
            if not isinstance(told, dict) or not isinstance(told.get("kind"), str):
                raise FaultError('a fault is a JSON object with a "kind"')
            kind = told.pop("kind")
            fault = Fault(kind, told)
            number = await self.add(fault)
        except (ValueError, RecursionError) as error:
            words = " ".join(str(error).split())
            return PlainTextResponse(f"{words}\n", 400)
        return JSONResponse(
            fault.as_json(number), 201, {"Location": f"{request.base_url}demo/faults/{number}"}
        )

    async def _clear(self, _request: Request) -> Response:
        for number in self.faults.numbers():
            await self.remove(number)
        return Response(status_code=204)

    async def _remove(self, request: Request) -> Response:
        number = request.path_params["number"]
        if await self.remove(number):
            return Response(status_code=204)
        return PlainTextResponse(f"no fault {number}\n", 404)
