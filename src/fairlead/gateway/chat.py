"""The life of one chat request. Read this first.

Every line of `chat` calls a pure floor (dialects, policy) or an edge of this package. Until the first event of an
answer anything may be retried; after it nothing is, and a stream that breaks then ends with the dialect's error event
and never with a clean end.
"""

from asyncio import CancelledError, sleep

from fairlead.canonical.routing import Failed, Route
from fairlead.dialects.table import Dialect
from fairlead.gateway.answers import error_of, failure_error, nobody_error, refuse, stream_error, success_fields
from fairlead.gateway.books import Books
from fairlead.gateway.stopwatch import BODY, GATEWAY, QUEUE
from fairlead.gateway.upstream import Answer, Begun, Request, Whole, attempt
from fairlead.gateway.world import World
from fairlead.http.server import Exchange
from fairlead.policy.attempts import attempts


async def chat(world: World, exchange: Exchange, dialect: Dialect) -> None:
    """Answers one chat request, whatever becomes of it; the books close however this ends."""
    books = Books(world, exchange, dialect.NAME)
    try:
        books.key = key = world.callers.admit(exchange)
        body = await received(exchange, books)
        books.ask = ask = dialect.ask(body)
        books.route = route = world.route(ask.model, key)
        request = Request(world, dialect, body, ask=ask, headers=exchange.headers, watch=books.watch)
        world.note_said(books, request)
        await world.reserve(books, request, route)
        match await first_event(world, books, request, route):
            case Whole(body=answer):
                books.passes(answer)
                exchange.send(200, success_fields(books), answer)
            case Begun() as stream:
                await relay(exchange, books, stream, dialect)
    except CancelledError:
        books.ended = "client_gone"
        raise
    except Exception as error:  # the rim: whatever it is, the client gets its dialect's words and no stack trace
        refuse(exchange, dialect, books, error_of(error, books.id))
    finally:
        books.close()


async def received(exchange: Exchange, books: Books) -> bytes:
    """The request's body."""
    books.watch.lap(GATEWAY)
    body = await exchange.read()
    books.watch.lap(BODY)
    books.body_size = len(body)
    return body


async def first_event(world: World, books: Books, request: Request, route: Route) -> Answer:
    """Makes attempts until one answers; gives that answer, or raises the GatewayError that the client is told."""
    now = world.clock()
    deadline = now + world.time_allowed(request.headers, route)
    given = world.plan(books, request, route)
    plan = attempts(given, now, deadline)
    try:
        step = next(plan, None)
        while step is not None:
            pause = step.start_at - books.watch.lap(GATEWAY)
            if pause > 0:
                await sleep(pause)
                books.watch.lap(QUEUE)
            request.trace_fields = books.begin(step)
            result: Answer | Failed | None = None
            if world.demands.rules.limits_deployments:
                result = await world.reserve_attempt(books, request, route, step)
            if result is None:
                result = await attempt(world, request, step, route.timeouts)
            outcome = books.learn(step, result)
            try:
                step = plan.send(outcome)
            except StopIteration as stop:
                if isinstance(result, Failed):
                    raise failure_error(stop.value, books) from None
                return result
    finally:
        plan.close()
    raise nobody_error(request.ask, route, given.needs)


async def relay(exchange: Exchange, books: Books, answer: Begun, dialect: Dialect) -> None:
    """Sends a stream from its first event to its end. A broken one ends with an error event, not cleanly."""
    try:
        exchange.start(200, success_fields(books))
        write = books.noting(exchange.write)
        write(answer.opening)
        exchange.backpressure(answer.reply.pause, answer.reply.resume)
        books.watch.lap(GATEWAY)
        broken = await answer.pipe(write)
    finally:
        answer.reply.close()
        books.relayed(answer)
    if broken is None:
        exchange.end()
        return
    books.cut(broken)
    exchange.write(dialect.encode_stream_error(stream_error(books, broken)))
    exchange.cut()
