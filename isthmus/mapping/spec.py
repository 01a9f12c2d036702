"""What a model file and a mapping file say, as frozen values; positions are kept for error messages."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Scalar = str | None


@dataclass(frozen=True, slots=True)
class Position:
    """Where something stands: a file relative to the project, line and column counted from 1."""

    file: str = ""
    line: int = 0
    column: int = 0


NOWHERE = Position()

# --- the shared model ---------------------------------------------------------------------------------------------

Type = Literal["text", "code", "date", "time", "moment", "decimal", "integer", "boolean", "ref"]


@dataclass(frozen=True, slots=True)
class Field:
    """One field of an object of the shared model.

    `type` may carry arguments: `decimal(13.2)`, `text(40)`, `code(division)`, `ref(contract_account)`; they are
    split into `type` and `args`.  `personal` marks personal data, masked wherever it is shown.  `edits` says who may
    change it where it is synchronized: with `owner` a change on the other side is put right.  With `along` a
    difference that was never agreed on travels along with another change of the thing, not alone.
    """

    name: str
    type: Type
    args: tuple[str, ...] = ()
    meaning: str = ""
    unit: str = ""
    owner: Literal["back_office", "front_office", ""] = ""
    on_conflict: Literal["owner", "newest", "hold"] = "owner"
    edits: Literal["both", "owner"] = "both"
    along: bool = False
    personal: bool = False
    required: bool = False  # a row without it is rejected
    position: Position = NOWHERE


@dataclass(frozen=True, slots=True)
class ListField:
    """A list inside an object (`each`): its fields, what matches two entries, whether its entries are slices."""

    name: str
    fields: tuple[Field, ...]
    match: tuple[str, ...] = ()
    history: bool = False  # entries are time slices: fields `from` (date/moment) and `until` (exclusive, null = open)
    meaning: str = ""
    position: Position = NOWHERE


@dataclass(frozen=True, slots=True)
class Scoring:
    """How alike two records are that no exact key pairs: fields with weights, compared after normalisation.

    Only records that agree on one of `block` are compared.  From `same` on two are one and the same; from `doubtful`
    on a person decides.
    """

    weights: Mapping[str, float]
    block: tuple[str, ...]
    same: float = 0.95
    doubtful: float = 0.7
    position: Position = NOWHERE


@dataclass(frozen=True, slots=True)
class Model:
    """An object of the shared model (`mappings/model/<object>.yaml`)."""

    object: str
    about: str
    key: str  # the field that people know it by, e.g. `number`
    fields: tuple[Field, ...]
    lists: tuple[ListField, ...] = ()
    match: tuple[tuple[str, ...], ...] = ()
    variants: str = ""  # the field that tells variants apart
    deleted: Field = Field("deleted", "boolean")  # who may set the delete marker, where the object is synchronized
    refuses: tuple[Refusal, ...] = ()
    scoring: Scoring | None = None
    position: Position = NOWHERE

    def field(self, name: str) -> Field | None:
        """Return the field of that name, or None."""
        return next((item for item in self.fields if item.name == name), None)

    def list(self, name: str) -> ListField | None:
        """Return the list of that name, or None."""
        return next((item for item in self.lists if item.name == name), None)


# --- a system's mapping -------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Call:
    """One function of a pipe with its arguments, e.g. `padded(10)`."""

    name: str
    args: tuple[str, ...] = ()
    position: Position = NOWHERE

    def __str__(self) -> str:
        return f"{self.name}({', '.join(self.args)})" if self.args else self.name


@dataclass(frozen=True, slots=True)
class Pipe:
    """`alias.COL [+ alias.COL] | f | g(arg)`: columns and the functions they go through, in the read direction."""

    columns: tuple[tuple[str, str], ...]  # (alias, column)
    calls: tuple[Call, ...] = ()
    position: Position = NOWHERE

    def __str__(self) -> str:
        columns = " + ".join(f"{alias}.{column}" for alias, column in self.columns)
        return " | ".join([columns, *map(str, self.calls)])


@dataclass(frozen=True, slots=True)
class Tie:
    """One equality of a tie: a column of this table and a column of a table before it."""

    column: str
    other_alias: str
    other_column: str


@dataclass(frozen=True, slots=True)
class MappedTable:
    """One table of a mapping.

    `ties` join it to tables before it and fill on write.  `lookup` tables are joined on read, never written.
    `valid` names its slice columns (start, end) or (start date, start time, end date, end time), `at` the day a
    plain field reads: `today`, `last` (the latest slice there is), or a column `ALIAS.COL`; `during` names another
    alias whose slice must overlap this one.  `fixed` discriminates on read and fills on insert; `initial` fills on
    insert only.  `changed` tells when a row changed, `by` names the columns that say who did it (the first that is
    not blank).  With `split` a changed field closes the slice of today and opens a new one; columns of `fill_in`
    belong to the whole history: they are written into every slice that leaves them blank, and split none.
    `where` filters on read only.  `condition` is a scenario switch (`if: devices`).
    """

    alias: str
    table: str
    ties: tuple[Tie, ...] = ()
    lookup: bool = False
    optional: bool = False
    shared: bool = False
    distinct: bool = False
    valid: tuple[str, ...] = ()
    at: str = ""
    split: bool = False
    fill_in: tuple[str, ...] = ()
    during: str = ""
    fixed: Mapping[str, str] = field(default_factory=dict)
    initial: Mapping[str, str] = field(default_factory=dict)
    changed: str = ""  # a pipe text, `none`, or `with <alias>`
    by: tuple[str, ...] = ()
    condition: str = ""
    position: Position = NOWHERE


@dataclass(frozen=True, slots=True)
class Term:
    """One comparison of a predicate: `left operator right`; left is a model field or `alias.COL`."""

    left: str
    operator: Literal["=", "<>", "<", "<=", ">", ">=", "in", "not in", "is blank", "is set"]
    right: str | tuple[str, ...] | None = None  # a literal (quoted in the file), literals, or None
    right_field: str = ""  # another field or column, instead of a literal


@dataclass(frozen=True, slots=True)
class Predicate:
    """A closed condition: terms under `and`, `or`, `not`."""

    operator: Literal["term", "and", "or", "not"]
    parts: tuple[Predicate, ...] = ()
    term: Term | None = None
    text: str = ""
    position: Position = NOWHERE


@dataclass(frozen=True, slots=True)
class Rule:
    """A `reject` rule: rows for which `when` holds are rejected, `because` says why."""

    when: Predicate
    because: str
    position: Position = NOWHERE


@dataclass(frozen=True, slots=True)
class Refusal:
    """A `refuse` rule of the model: a change of one of `fields` is refused where `when` holds.

    `when` speaks of the values the back office would get; `was.FIELD` is the one it has.  `because` names fields in
    braces.
    """

    fields: tuple[str, ...]
    when: Predicate
    because: str
    position: Position = NOWHERE


@dataclass(frozen=True, slots=True)
class MappedField:
    """One line under `fields`, `reads` or `copies`: a model field and its pipe."""

    name: str
    pipe: Pipe
    position: Position = NOWHERE


@dataclass(frozen=True, slots=True)
class MappedList:
    """One entry under `each`: the tables of the list, its slices, its fields.

    `period` is a pipe of two or four columns through `days` or `moments`; it fills the list's `from` and `until`.
    `missing` says what happens to rows of the target that the source no longer has.
    """

    name: str
    tables: tuple[MappedTable, ...]
    fields: tuple[MappedField, ...]
    reads: tuple[MappedField, ...] = ()
    period: Pipe | None = None
    make: Mapping[str, Call] = field(default_factory=dict)  # "ALIAS.COL" -> call
    missing: Literal["keep", "delete"] = "keep"
    condition: str = ""
    position: Position = NOWHERE


@dataclass(frozen=True, slots=True)
class Example:
    """A worked example: raw columns given, model fields expected; lists give one row per entry."""

    given: Mapping[str, Scalar]
    gives: Mapping[str, Scalar]
    position: Position = NOWHERE


@dataclass(frozen=True, slots=True)
class MappingSpec:
    """How one system speaks one object (`mappings/<system>/<object>.yaml`); one variant of it where it has several."""

    object: str
    system: str
    about: str
    tables: tuple[MappedTable, ...]
    key: Pipe
    fields: tuple[MappedField, ...]
    reads: tuple[MappedField, ...] = ()
    copies: tuple[MappedField, ...] = ()
    lists: tuple[MappedList, ...] = ()
    make: Mapping[str, Call] = field(default_factory=dict)
    known_as: Mapping[str, Pipe] = field(default_factory=dict)
    deleted: Pipe | None = None  # reads a boolean; None = `never`
    where: Predicate | None = None
    rejects: tuple[Rule, ...] = ()
    warns: tuple[Rule, ...] = ()
    examples: tuple[Example, ...] = ()
    create: Literal["rows", "never"] = "rows"
    variant: str = ""  # the value of the model's variants field this spec is for
    constants: Mapping[str, str] = field(default_factory=dict)  # model field -> value every row of this variant has
    condition: str = ""
    position: Position = NOWHERE
    text_hash: str = ""  # of the file, kept in the ledger with every run

    def table(self, alias: str) -> MappedTable | None:
        """Return the table of that alias (outside lists), or None."""
        return next((table for table in self.tables if table.alias == alias), None)


@dataclass(frozen=True, slots=True)
class CodeTable:
    """One code table (`mappings/codes/<name>.yaml`): per system, model value -> spellings, the first is written.

    `otherwise` says per system what an unknown spelling becomes: `reject` or a model value.
    """

    name: str
    about: str
    systems: Mapping[str, Mapping[str, tuple[str, ...]]]
    otherwise: Mapping[str, str] = field(default_factory=dict)
    position: Position = NOWHERE


@dataclass(frozen=True, slots=True)
class Flow:
    """One object of a scenario: from where, to where, at which level, how carefully.

    `owners` (field -> role) and `on_conflict` (field -> policy) say it otherwise than the model, for this flow alone.
    """

    object: str
    source: str
    target: str
    level: Literal["replicate", "synchronize"] = "replicate"
    gate: Literal["package", "run", "off"] = "package"
    mass_change: float = 0.2  # share of an object that one run may change or delete unasked
    parked: float = 0.01  # share that may wait for one cause; more stops the object with one finding
    guard: Literal["repair", "report"] = "report"
    package_rows: int = 0  # 0: the scenario's default
    owners: Mapping[str, str] = field(default_factory=dict)
    on_conflict: Mapping[str, str] = field(default_factory=dict)
    condition: str = ""
    position: Position = NOWHERE


@dataclass(frozen=True, slots=True)
class Scenario:
    """A named set of flows (`mappings/scenarios/<name>.yaml`), with the switches (`if:`) it sets."""

    name: str
    about: str
    switches: Mapping[str, bool]
    flows: tuple[Flow, ...]
    roles: Mapping[str, str] = field(default_factory=dict)  # back_office -> isu
    position: Position = NOWHERE


@dataclass(frozen=True, slots=True)
class SystemSettings:
    """What is said once per kind of system (`mappings/<system>/_system.yaml`): values used as `$isu.logical_system`.

    `codes` are its spellings for code tables that were there before it: table -> model value -> spellings.
    """

    system: str
    about: str
    values: Mapping[str, str] = field(default_factory=dict)
    codes: Mapping[str, Mapping[str, tuple[str, ...]]] = field(default_factory=dict)
    position: Position = NOWHERE


@dataclass(frozen=True, slots=True)
class Catalogue:
    """Everything that the content folders say, checked: the input of the compiler."""

    models: Mapping[str, Model]
    mappings: Mapping[tuple[str, str], tuple[MappingSpec, ...]]  # (system, object) -> its variants (one if none)
    codes: Mapping[str, CodeTable]
    systems: Mapping[str, SystemSettings]
    scenarios: Mapping[str, Scenario]

    def order(self, objects: tuple[str, ...]) -> tuple[str, ...]:
        """Sort objects so that each comes after those it refers to (`ref` fields of the model)."""
        done: dict[str, None] = {}
        for name in objects:
            self._visit(name, objects, done)
        return tuple(done)

    def _visit(self, name: str, objects: tuple[str, ...], done: dict[str, None]) -> None:
        if name in done or name not in objects:
            return
        for parent in self.parents(name):
            if parent != name:
                self._visit(parent, objects, done)
        done[name] = None

    def parents(self, name: str) -> tuple[str, ...]:
        """Return the objects that `name` refers to, in the order of its fields."""
        model = self.models[name]
        fields = [*model.fields, *(item for entry in model.lists for item in entry.fields)]
        return tuple(dict.fromkeys(item.args[0] for item in fields if item.type == "ref" and item.args))
