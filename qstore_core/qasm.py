"""Circuits as OpenQASM 3 programs (openqasm.com, version 3.0)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from qstore_core.angles import Angle, Feature, Parameter, Symbol, sorted_symbols
from qstore_core.operations import Operation

_NAMES = {"cnot": "cx", "toffoli": "ccx"}
_DEFINITIONS = {  # the gates of ours that stdgates.inc lacks
    "rzz": "gate rzz(t) a, b { cx a, b; rz(t) b; cx a, b; }",
    "rxx": "gate rxx(t) a, b { h a; h b; cx a, b; rz(t) b; cx a, b; h a; h b; }",
    "ryy": "gate ryy(t) a, b { rx(pi/2) a; rx(pi/2) b; cx a, b; rz(t) b; cx a, b; rx(-pi/2) a; rx(-pi/2) b; }",
}
_RESERVED = frozenset(_NAMES.values()) | frozenset(
    "q pi tau euler input output gate qubit bit float int angle const let def if else for while in return measure "
    "barrier delay reset include cal defcal box duration stretch complex bool array extern void mutable readonly end "
    "x y z h s sdg t tdg sx rx ry rz p cx cz swap rxx ryy rzz crx cry crz ccx cp cu ch cy id u1 u2 u3 phase cphase "
    "ctrl negctrl inv pow U gphase sin cos tan exp log sqrt mod break continue switch case default pragma OPENQASM "
    "defcalgrammar qreg creg uint durationof true false im CX cswap opaque nop arcsin arccos arctan ceiling floor "
    "popcount rotl rotr sizeof real imag".split()
)


def operations_to_qasm3(n_qubits: int, operations: Sequence[Operation]) -> str:
    """The program; a symbol called `theta[3]` becomes the input `theta_3`, and `q[i]` is qubit i."""
    angles = [operation.angle for operation in operations if operation.angle is not None]
    names = _identifiers(symbol for angle in angles for symbol, _ in angle.terms)
    used = {operation.name for operation in operations}
    lines = ["OPENQASM 3.0;", 'include "stdgates.inc";']
    lines += [text for name, text in _DEFINITIONS.items() if name in used]
    lines += [f"input float[64] {name};" for name in names.values()]
    lines.append(f"qubit[{n_qubits}] q;")
    lines += [_statement(operation, names) for operation in operations]
    return "\n".join(lines)


def _statement(operation: Operation, names: dict[Symbol, str]) -> str:
    gate = _NAMES.get(operation.name, operation.name)
    argument = "" if operation.angle is None else f"({_expression(operation.angle, names)})"
    return f"{gate}{argument} {', '.join(f'q[{qubit}]' for qubit in operation.qubits)};"


def _expression(angle: Angle, names: dict[Symbol, str]) -> str:
    parts = [names[symbol] if weight == 1 else f"{weight!r}*{names[symbol]}" for symbol, weight in angle.terms]
    if angle.offset or not parts:
        parts.append(repr(angle.offset))
    return " + ".join(parts).replace("+ -", "- ")


def _identifiers(symbols: Iterable[Symbol]) -> dict[Symbol, str]:
    found = list(symbols)
    ordered = [s for kind in (Feature, Parameter) for s in sorted_symbols(x for x in found if isinstance(x, kind))]
    names: dict[Symbol, str] = {}
    for symbol in ordered:
        name = re.sub(r"\W+", "_", symbol.name, flags=re.ASCII).strip("_") or "symbol"
        if name in _RESERVED or name[0].isdigit():
            name = f"{type(symbol).__name__.lower()}_{name}"
        while name in names.values():
            name += "_"
        names[symbol] = name
    return names
