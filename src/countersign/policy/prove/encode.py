"""From the engine's own syntax tree to SMT-LIB: when is a policy satisfied, when does a set allow?

Errors are modelled as Cedar has them: a policy whose condition errs is skipped, permit and forbid alike. A set allows when
some permit is satisfied and no forbid is. Whatever is not understood raises.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from cedarpy import pst

from countersign.policy.prove.schema import unsupported
from countersign.policy.prove.values import (
    FALSE,
    LONG_MAX,
    LONG_MIN,
    TRUE,
    WRONG,
    Fields,
    Result,
    Scalar,
    SetOf,
    Value,
    conj,
    disj,
    eq,
    imp,
    ite,
    neg,
    number,
)
from countersign.policy.prove.world import World

_ACTION = "Action"
_COMPARE = {"less": "<", "less_eq": "<=", "greater": ">", "greater_eq": ">="}
_ADD = {"add": "+", "sub": "-", "mul": "*"}
_WHOLE = {"contains_all", "contains_any"}


class Encoder:
    """Policies of one environment, in its world."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._where = ""

    def allows(self, policies: Mapping[str, pst.Template]) -> str:
        """When the whole set allows."""
        permits = [self.satisfied(one) for one in policies.values() if one.effect == "permit"]
        forbids = [self.satisfied(one) for one in policies.values() if one.effect == "forbid"]
        return conj(disj(*permits), neg(disj(*forbids)))

    def satisfied(self, policy: pst.Template) -> str:
        """When head and every clause are true without any error."""
        self._where = policy.id
        head = conj(
            self._head(policy.principal, self._world.principal),
            self._action(policy.action),
            self._head(policy.resource, self._world.resource),
        )
        if head == FALSE:
            return FALSE
        return conj(head, *(self._clause(clause) for clause in policy.clauses))

    def _clause(self, clause: pst.Clause) -> str:
        found = self.evaluate(clause.expr)
        holds = found.value.term if isinstance(found.value, Scalar) and found.value.kind == "bool" else None
        if holds is None:
            return FALSE
        return conj(neg(found.errs), holds if isinstance(clause, pst.When) else neg(holds))

    # -- heads

    def _head(self, scope: pst.PrincipalOrResourceConstraint, party: Scalar) -> str:
        if isinstance(scope, pst.ScopeAny):
            return TRUE
        if isinstance(scope, pst.ScopeIs):
            return TRUE if str(scope.entity_type) == party.kind else FALSE
        if isinstance(scope, pst.ScopeIsIn) and str(scope.entity_type) != party.kind:
            return FALSE
        if isinstance(scope.entity, pst.Slot):
            raise unsupported("templates", self._where)
        uid = scope.entity
        return eq(party.term, self._literal(uid).term) if str(uid.type) == party.kind else FALSE

    def _action(self, scope: pst.ActionConstraint) -> str:
        if isinstance(scope, pst.ScopeAny):
            return TRUE
        action = self._world.environment.action
        if isinstance(scope, pst.ActionEq):
            return TRUE if scope.entity.id == action else FALSE
        return TRUE if any(one.id in self._world.schema.groups[action] for one in scope.entities) else FALSE

    def _literal(self, uid: pst.EntityUid) -> Scalar:
        if str(uid.type) == _ACTION:
            return Scalar(_ACTION, self._world.string(uid.id))
        return self._world.literal(str(uid.type), uid.id)

    # -- expressions

    def evaluate(self, expr: pst.Expr) -> Result:
        """What an expression comes to, and when it errs."""
        rule = _RULES.get(type(expr))
        if rule is None:
            raise unsupported(type(expr).__name__, self._where)
        return rule(self, expr)

    def var(self, expr: pst.Var) -> Result:
        """principal, action, resource, context."""
        world = self._world
        if expr.name == "action":
            return Result(Scalar(_ACTION, world.string(world.environment.action)))
        found = {"principal": world.principal, "resource": world.resource, "context": world.context}[expr.name]
        return Result(found)

    def lit(self, expr: pst.BoolLit | pst.LongLit | pst.StringLit | pst.EntityLit) -> Result:
        """Literals."""
        if isinstance(expr, pst.BoolLit):
            return Result(Scalar("bool", TRUE if expr.value else FALSE))
        if isinstance(expr, pst.LongLit):
            return Result(Scalar("long", number(expr.value)))
        if isinstance(expr, pst.StringLit):
            return Result(Scalar("str", self._world.string(expr.value)))
        return Result(self._literal(expr.value))

    def unary(self, expr: pst.UnaryOp) -> Result:
        """``!``, ``-``, ``isEmpty``."""
        of = self.evaluate(expr.arg)
        value = of.value
        if expr.op == "not":
            return _typed(value, "bool", lambda term: Result(Scalar("bool", neg(term)), of.errs))
        if expr.op == "neg":
            return _typed(value, "long", lambda term: _bounded(f"(- {term})", of.errs))
        if expr.op == "is_empty":
            if not isinstance(value, SetOf):
                return WRONG
            nothing = SetOf(value.kind, lambda _element: FALSE)
            return Result(Scalar("bool", self._world.ask("subset", value, nothing)), of.errs)
        raise unsupported(f"the function {expr.op}", self._where)

    def binary(self, expr: pst.BinaryOp) -> Result:
        """Operators of two sides."""
        if expr.op in ("and", "or"):
            return self._lazy(expr)
        left, right = self.evaluate(expr.left), self.evaluate(expr.right)
        errs = disj(left.errs, right.errs)
        if left.value is None or right.value is None:
            return WRONG
        if expr.op in ("eq", "not_eq"):
            same = self._same(left.value, right.value)
            return Result(Scalar("bool", same if expr.op == "eq" else neg(same)), errs)
        if expr.op in _COMPARE or expr.op in _ADD:
            return self._sums(expr, left.value, right.value, errs)
        if expr.op == "contains" or expr.op in _WHOLE:
            return self._sets(expr.op, left.value, right.value, errs)
        if expr.op == "in":
            return self._in(left.value, right.value, expr.right, errs)
        raise unsupported(f"the operator {expr.op}", self._where)

    def _lazy(self, expr: pst.BinaryOp) -> Result:
        """``&&`` and ``||`` leave the right side alone when the left one decides."""
        left = self.evaluate(expr.left)
        if not (isinstance(left.value, Scalar) and left.value.kind == "bool"):
            return WRONG
        first = left.value.term
        goes_on = first if expr.op == "and" else neg(first)
        right = self.evaluate(expr.right)
        is_bool = isinstance(right.value, Scalar) and right.value.kind == "bool"
        errs = disj(left.errs, conj(goes_on, right.errs if is_bool else TRUE))
        second = right.value.term if is_bool and isinstance(right.value, Scalar) else FALSE
        return Result(Scalar("bool", conj(first, second) if expr.op == "and" else disj(first, second)), errs)

    def _sums(self, expr: pst.BinaryOp, left: Value, right: Value, errs: str) -> Result:
        if not (isinstance(left, Scalar) and isinstance(right, Scalar) and left.kind == right.kind == "long"):
            return WRONG
        if expr.op in _COMPARE:
            return Result(Scalar("bool", f"({_COMPARE[expr.op]} {left.term} {right.term})"), errs)
        if expr.op == "mul" and not (isinstance(expr.left, pst.LongLit) or isinstance(expr.right, pst.LongLit)):
            raise unsupported("a product of two unknowns", self._where)
        return _bounded(f"({_ADD[expr.op]} {left.term} {right.term})", errs)

    def _sets(self, op: str, left: Value, right: Value, errs: str) -> Result:
        if not isinstance(left, SetOf):
            return WRONG
        if op == "contains":
            if not isinstance(right, Scalar):
                raise unsupported("a set of records or sets", self._where)
            if right.kind != left.kind:
                return Result(Scalar("bool", FALSE), errs)
            self._world.name_element(left.kind, right.term)
            return Result(Scalar("bool", left.has(right.term)), errs)
        if not isinstance(right, SetOf):
            return WRONG
        if left.kind != right.kind:
            raise unsupported("sets of different kinds side by side", self._where)
        question = self._world.ask("subset", right, left) if op == "contains_all" else self._world.ask("meets", left, right)
        return Result(Scalar("bool", question), errs)

    def _in(self, left: Value, right: Value, written: pst.Expr, errs: str) -> Result:
        """No entity type of ours has parents, so ``in`` is equality, but for actions and their groups."""
        if not isinstance(left, Scalar) or left.kind in ("bool", "long", "str"):
            return WRONG
        if isinstance(right, SetOf) and isinstance(written, pst.Set):
            found = [self._in(left, one.value, e, FALSE) for e in written.elements if (one := self.evaluate(e)).value]
            return Result(Scalar("bool", disj(*(o.value.term for o in found if isinstance(o.value, Scalar)))), errs)
        if not isinstance(right, Scalar):
            return WRONG
        if left.kind == _ACTION and right.kind == _ACTION:
            if not (isinstance(written, pst.EntityLit) and left.term == self._world.string(self._world.environment.action)):
                raise unsupported("`in` between actions other than `action in …`", self._where)
            held = written.value.id in self._world.schema.groups[self._world.environment.action]
            return Result(Scalar("bool", TRUE if held else FALSE), errs)
        return Result(Scalar("bool", eq(left.term, right.term) if left.kind == right.kind else FALSE), errs)

    def _same(self, left: Value, right: Value) -> str:
        if isinstance(left, Scalar) and isinstance(right, Scalar):
            return eq(left.term, right.term) if left.kind == right.kind else FALSE
        if isinstance(left, SetOf) and isinstance(right, SetOf):
            if left.kind != right.kind:
                raise unsupported("sets of different kinds side by side", self._where)
            return self._world.ask("same", left, right)
        if isinstance(left, Fields) and isinstance(right, Fields):
            missing: tuple[str, Value] = (FALSE, Scalar("bool", FALSE))
            names = dict.fromkeys([*left.fields, *right.fields])
            pairs = [(left.fields.get(name, missing), right.fields.get(name, missing)) for name in names]
            return conj(*(conj(imp(a, b), imp(b, a), imp(conj(a, b), self._same(x, y))) for (a, x), (b, y) in pairs))
        return FALSE

    def get(self, expr: pst.GetAttr) -> Result:
        """An attribute: an error when it is not there, or the entity is not."""
        base = self.evaluate(expr.base)
        there, fields = self._fields(base.value)
        if fields is None or expr.attr not in fields.fields:
            return WRONG
        present, value = fields.fields[expr.attr]
        return Result(value, disj(base.errs, neg(conj(there, present))))

    def has(self, expr: pst.HasAttr) -> Result:
        """Whether an attribute is there, ``has a.b`` included."""
        base = self.evaluate(expr.base)
        value: Value | None = base.value
        known = TRUE
        for name in expr.attrs:
            there, fields = self._fields(value)
            if fields is None:
                return WRONG
            present, value = fields.fields.get(name, (FALSE, Fields()))
            known = conj(known, there, present)
        return Result(Scalar("bool", known), base.errs)

    def _fields(self, value: Value | None) -> tuple[str, Fields | None]:
        if isinstance(value, Fields):
            return TRUE, value
        if not isinstance(value, Scalar) or value.kind in ("bool", "long", "str"):
            return FALSE, None
        if value.kind == _ACTION:
            return TRUE, Fields()
        return self._world.exists(value), self._world.attributes(value)

    def like(self, expr: pst.Like) -> Result:
        """Only without a wildcard."""
        if any(isinstance(one, pst.Wildcard) for one in expr.pattern):
            raise unsupported("`like` with a wildcard", self._where)
        text = "".join(one.value for one in expr.pattern if isinstance(one, pst.Char))
        of = self.evaluate(expr.base)
        return _typed(of.value, "str", lambda term: Result(Scalar("bool", eq(term, self._world.string(text))), of.errs))

    def is_(self, expr: pst.Is) -> Result:
        """The type of an entity, which each environment fixes."""
        of = self.evaluate(expr.base)
        if not isinstance(of.value, Scalar) or of.value.kind in ("bool", "long", "str"):
            return WRONG
        fits = of.value.kind == str(expr.entity_type)
        if not fits or expr.in_expr is None:
            return Result(Scalar("bool", TRUE if fits else FALSE), of.errs)
        return self.binary(pst.BinaryOp("in", expr.base, expr.in_expr))

    def choice(self, expr: pst.IfThenElse) -> Result:
        """``if then else``: the side not taken is not evaluated."""
        test, then, other = (self.evaluate(one) for one in (expr.cond, expr.then_expr, expr.else_expr))
        if not (isinstance(test.value, Scalar) and test.value.kind == "bool"):
            return WRONG
        chosen = test.value.term
        errs = disj(test.errs, ite(chosen, then.errs, other.errs))
        one, two = then.value, other.value
        if one is None or two is None:
            return Result(two if one is None else one, errs)
        if not (isinstance(one, Scalar) and isinstance(two, Scalar) and one.kind == two.kind):
            raise unsupported("`if` between sets, records or different types", self._where)
        return Result(Scalar(one.kind, ite(chosen, one.term, two.term)), errs)

    def set_(self, expr: pst.Set) -> Result:
        """A set written out."""
        found = [self.evaluate(one) for one in expr.elements]
        errs = disj(*(one.errs for one in found))
        values = [one.value for one in found]
        if not values:
            return Result(SetOf("str", lambda _element: FALSE), errs)
        if any(value is None for value in values):
            return WRONG
        scalars = [value for value in values if isinstance(value, Scalar)]
        kinds = {value.kind for value in scalars}
        if len(scalars) != len(values) or len(kinds) != 1:
            raise unsupported("a set of records, sets or different types", self._where)
        terms = [value.term for value in scalars]
        for term in terms:
            self._world.name_element(scalars[0].kind, term)
        return Result(SetOf(scalars[0].kind, lambda element: disj(*(eq(element, term) for term in terms))), errs)

    def record(self, expr: pst.Record) -> Result:
        """A record written out."""
        found = {name: self.evaluate(one) for name, one in expr.fields.items()}
        if any(one.value is None for one in found.values()):
            return WRONG
        fields = {name: (TRUE, one.value) for name, one in found.items() if one.value is not None}
        return Result(Fields(fields), disj(*(one.errs for one in found.values())))


_RULES: dict[type, Callable[..., Result]] = {
    pst.Var: Encoder.var,
    pst.BoolLit: Encoder.lit,
    pst.LongLit: Encoder.lit,
    pst.StringLit: Encoder.lit,
    pst.EntityLit: Encoder.lit,
    pst.UnaryOp: Encoder.unary,
    pst.BinaryOp: Encoder.binary,
    pst.GetAttr: Encoder.get,
    pst.HasAttr: Encoder.has,
    pst.Like: Encoder.like,
    pst.Is: Encoder.is_,
    pst.IfThenElse: Encoder.choice,
    pst.Set: Encoder.set_,
    pst.Record: Encoder.record,
}


def _typed(value: Value | None, kind: str, then: Callable[[str], Result]) -> Result:
    return then(value.term) if isinstance(value, Scalar) and value.kind == kind else WRONG


def _bounded(term: str, errs: str) -> Result:
    """Cedar's integers have 64 bits; beyond them is an error."""
    return Result(Scalar("long", term), disj(errs, f"(< {term} {number(LONG_MIN)})", f"(> {term} {number(LONG_MAX)})"))
