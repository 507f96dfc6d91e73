"""Users and tokens over HTTP."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response

from cyme_supd.clock import isoformat
from cyme_supd.domain.access import Token, User
from cyme_supd.service import Service
from cyme_supd.web import journal, wire
from cyme_supd.web.params import takes
from cyme_supd.web.routing import PUT_POST, Routes
from cyme_supd.web.schemas import Change, Nothing, Page, TokenMaking, UserEdit, UserMaking
from cyme_supd.web.scopes import HERE


def blueprint(service: Service) -> Blueprint:
    noun = Blueprint("access", __name__)
    _add_users(Routes(noun, "/api/users/"), service)
    _add_tokens(Routes(noun, "/api/tokens/"), service)
    return noun


def _add_users(routes: Routes, service: Service) -> None:
    access = service.access

    @takes(Page)
    def user_names(sent: Page) -> Response:
        return wire.page(access.user_names, sent)

    @takes(Nothing)
    def get_user(name: str, sent: Nothing) -> Response:
        return wire.answer(_user(access.user(name)))

    def put(name: str, sent: UserEdit) -> Response:
        user, is_new = access.put_user(name, sent.given())
        journal.about(user.name)
        return wire.answer(_user(user), 201 if is_new else 200)

    @takes(UserMaking)
    def post_user(nowait: bool, sent: UserMaking) -> Response:
        return put(sent.name or "", sent)

    @takes(UserEdit)
    def put_user(name: str, nowait: bool, sent: UserEdit) -> Response:
        return put(name, sent)

    @takes(Change)
    def delete_user(name: str, nowait: bool, sent: Change) -> Response:
        access.remove_user(name)
        return wire.answer(wire.OK)

    routes.reading("", user_names, HERE)
    routes.reading("<name>/", get_user, HERE)
    routes.acting("", post_user, ("POST",), HERE)
    routes.acting("<name>/", put_user, PUT_POST, HERE)
    routes.acting("<name>/", delete_user, ("DELETE",), HERE)
    routes.only_synchronous()


def _add_tokens(routes: Routes, service: Service) -> None:
    access = service.access

    @takes(Page)
    def token_ids(sent: Page) -> Response:
        return wire.page(access.token_ids, sent)

    @takes(Nothing)
    def get_token(id: str, sent: Nothing) -> Response:
        return wire.answer(_token(access.token(id)))

    @takes(TokenMaking)
    def add_token(nowait: bool, sent: TokenMaking) -> Response:
        made = access.add_token(sent.given())
        journal.about(made.token.id)
        return wire.answer({**_token(made.token), "token": made.text}, 201)

    @takes(Change)
    def delete_token(id: str, nowait: bool, sent: Change) -> Response:
        access.remove_token(id)
        return wire.answer(wire.OK)

    routes.reading("", token_ids, HERE)
    routes.reading("<id>/", get_token, HERE)
    routes.acting("", add_token, ("POST",), HERE)
    routes.acting("<id>/", delete_token, ("DELETE",), HERE)
    routes.only_synchronous()


def _user(user: User) -> dict[str, Any]:
    return {"name": user.name, "role": user.role, "created_at": isoformat(user.created_at)}


def _token(token: Token) -> dict[str, Any]:
    times = {
        "created_at": token.created_at,
        "expires_at": token.expires_at,
        "last_used_at": token.last_used_at,
    }
    return {
        "id": token.id,
        "label": token.label,
        "user": token.user,
        "role": token.role,
        "app": token.app,
        **{name: isoformat(at) if at else None for name, at in times.items()},
    }
