"""Columns of a Parquet table: which has the images, the labels, the objects; names of classes.

Tables of the Hugging Face hub say so themselves, in JSON beside their schema. Those of others are
understood by the types and names of their columns.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from freqprep.errors import SourceError, did_you_mean
from freqprep.sources.class_ids import MOST_CLASSES
from freqprep.sources.options import SourceOptions
from freqprep.sources.parquet_file import arrow
from freqprep.sources.parquet_groups import image_leaf
from freqprep.storage.strict_json import parse

if TYPE_CHECKING:
    import pyarrow as pa

_LABEL_NAMES = ("label", "labels", "class", "target")
_SIZE_NAMES = (("height", "width"), ("image_height", "image_width"))
_CATEGORY_NAMES = ("category", "category_id", "label", "labels", "categories", "class", "class_id")
"""Names of the field of an object's class, the preferred ones first."""


@dataclass(frozen=True)
class Columns:
    """Columns of a table that are read, by what they have; None for what it does not have.

    Attributes
    ----------
    image : str
        Column of the images.
    leaf : str
        Column of their bytes: ``image``, or ``image.bytes``.
    path : str or None
        Column of their paths: ``image.path``.
    label : str or None
        Column of the labels; None where there are objects.
    numbered : bool
        Whether labels, or categories of objects, are numbers.
    objects : str or None
        Column of annotated objects.
    category : str or None
        Field of the objects that has their class.
    sides : tuple of str or None
        Columns of the height and width of the images; None unless there are objects.
    image_id : str or None
        Column of ids of the images, numbers or texts; None unless there are objects.
    names : tuple of str or None
        Names of the classes, in label order.
    """

    image: str
    leaf: str
    path: str | None
    label: str | None
    numbered: bool
    objects: str | None = None
    category: str | None = None
    sides: tuple[str, str] | None = None
    image_id: str | None = None
    names: tuple[str, ...] | None = None

    @property
    def read(self) -> list[str]:
        """All columns to read with a listing: none with bytes of images."""
        every = (self.path, self.label, self.objects, *(self.sides or ()), self.image_id)
        return [name for name in every if name is not None]

    def unused(self, schema: pa.Schema) -> list[str]:
        """Return the columns of a table that nothing is taken from."""
        used = {self.image, *self.read} - {self.path}
        return [name for name in schema.names if name not in used]


def find_columns(schema: pa.Schema, where: str, options: SourceOptions) -> Columns:
    """Return what the columns of a table are.

    Parameters
    ----------
    schema : Schema
    where : str
        The file, for messages.
    options : SourceOptions

    Returns
    -------
    Columns

    Raises
    ------
    SourceError
        There is no column of images or labels, or there are several; one that was named is missing
        or of another type; names of classes are malformed.
    """
    features = _features(schema, where)
    image, leaf = _image(schema, features, where, options.image_column)
    kind = schema.field(image).type
    has_path = leaf != image and kind.get_field_index("path") >= 0
    path = f"{image}.path" if has_path and _is_text(kind.field("path").type) else None
    objects = None if options.label_column else _objects(schema, where)
    if objects is not None:
        fields = object_fields(schema.field(objects).type)
        category = next((name for name in _CATEGORY_NAMES if name in fields), None)
        if category is None:
            raise SourceError(
                f"{where}: the objects in {objects!r} have no field of their class, only"
                f" {', '.join(fields)}",
                f"name it {_CATEGORY_NAMES[0]}, or choose a column with --label-column",
            )
        feature = _inner_feature(features.get(objects), category)
        return Columns(
            image,
            leaf,
            path,
            label=None,
            numbered=_is_number(fields[category], where, f"{objects}.{category}"),
            objects=objects,
            category=category,
            sides=next((s for s in _SIZE_NAMES if all(map(_integers(schema), s))), None),
            image_id="image_id" if _has_ids(schema) else None,
            names=None if options.class_names else _names(feature, where, category),
        )
    label = _label(schema, features, where, options.label_column)
    names = None if options.class_names else _names(features.get(label), where, label)
    numbered = _is_number(schema.field(label).type, where, label)
    return Columns(image, leaf, path, label, numbered, names=names)


def _features(schema: pa.Schema, where: str) -> Mapping[str, Any]:
    """Return what the Hugging Face library noted of the columns; nothing where it did not."""
    text = (schema.metadata or {}).get(b"huggingface")
    if text is None:
        return {}
    try:
        features = parse(text)["info"]["features"]
    except (ValueError, KeyError, TypeError):
        features = None
    if not isinstance(features, dict):
        raise SourceError(
            f"{where}: the metadata 'huggingface' of its schema are not the JSON of a data set",
            "write the table again, without this entry of the schema's metadata",
        )
    return features


def _type_of(feature: Any) -> Any:
    return feature.get("_type") if isinstance(feature, dict) else None


def _image(
    schema: pa.Schema, features: Mapping[str, Any], where: str, named: str | None
) -> tuple[str, str]:
    if named is not None:
        if schema.get_field_index(named) < 0:
            raise _missing(schema, where, named, "--image-column")
        leaf = image_leaf(schema, named)
        if leaf is None:
            raise SourceError(
                f"{where}: the column {named!r} has {schema.field(named).type}, not the bytes of"
                " image files",
                "name a column of JPEG or PNG files with --image-column",
            )
        return named, leaf
    found = {name: leaf for name in schema.names if (leaf := image_leaf(schema, name))}
    marked = [name for name in found if _type_of(features.get(name)) == "Image"]
    nested = [name for name, leaf in found.items() if leaf != name]
    usual = [name for name in found if name.lower() in ("image", "img")]
    for candidates in (marked, usual, nested, list(found)):
        if len(candidates) == 1:
            return candidates[0], found[candidates[0]]
    if not found:
        raise SourceError(
            f"{where} has no column with the bytes of image files, only {_listed(schema)}",
            "name tables whose images are in them, not only paths or pixels",
        )
    raise SourceError(
        f"{where} has several columns of bytes: {', '.join(found)}",
        "name that of the images with --image-column",
    )


def _label(schema: pa.Schema, features: Mapping[str, Any], where: str, named: str | None) -> str:
    if named is not None:
        if schema.get_field_index(named) < 0:
            raise _missing(schema, where, named, "--label-column")
        return named
    marked = [name for name in schema.names if _type_of(features.get(name)) == "ClassLabel"]
    candidates = marked or schema.names
    usual: list[str] = [name for name in candidates if name.lower() in _LABEL_NAMES]
    for names in (usual, marked):
        if len(names) == 1:
            return names[0]
    found = usual or marked
    what = f"several columns of labels: {', '.join(found)}" if found else "no column of labels"
    raise SourceError(
        f"{where} has {what}; its columns are {_listed(schema)}",
        "name that of the labels with --label-column",
    )


def _objects(schema: pa.Schema, where: str) -> str | None:
    found = [f.name for f in schema if "bbox" in object_fields(f.type)]
    if len(found) > 1:
        raise SourceError(
            f"{where} has several columns of objects: {', '.join(found)}",
            "keep the one to convert, or choose a column of labels with --label-column",
        )
    if found and schema.names.count(found[0]) > 1:  # Arrow finds none by such a name
        raise SourceError(
            f"{where} has several columns called {found[0]!r}", "keep the one with the objects"
        )
    return found[0] if found else None


def object_fields(kind: pa.DataType) -> dict[str, pa.DataType]:
    """Return the fields of a struct of lists, or a list of structs, with their types."""
    types = arrow().types
    if is_list(kind) and types.is_struct(kind.value_type):
        return {field.name: field.type for field in kind.value_type}
    if types.is_struct(kind):
        return {field.name: field.type.value_type for field in kind if is_list(field.type)}
    return {}


def _inner_feature(feature: Any, field: str) -> Any:
    """Return the feature of a field of the objects, in each form that the library has written."""
    for _ in range(4):
        if isinstance(feature, list) and feature:
            feature = feature[0]
        elif isinstance(feature, dict) and isinstance(feature.get("feature"), dict | list):
            feature = feature["feature"]
        elif isinstance(feature, dict) and isinstance(feature.get(field), dict | list):
            feature = feature[field]
        else:
            break
    return feature


def _names(feature: Any, where: str, column: str) -> tuple[str, ...] | None:
    if _type_of(feature) != "ClassLabel":
        return None
    names = feature.get("names")
    if names is None:
        return None
    if not isinstance(names, list) or not names or not all(map(_is_name, names)):
        wrong = names if not isinstance(names, list) or not names else _first_wrong(names)
        raise SourceError(
            f"{where}: the names of {column!r} in the schema's metadata are not a list of texts:"
            f" {repr(wrong)[:80]}",
            "give the names with --class-names FILE",
        )
    if empty := [number for number, name in enumerate(names) if not name.strip()]:
        raise SourceError(
            f"{where}: the name of label {empty[0]} of {column!r} is empty in its metadata",
            "give the names with --class-names FILE",
        )
    if len(names) > MOST_CLASSES:
        raise SourceError(
            f"{where}: {column!r} has {len(names)} names of classes; at most {MOST_CLASSES}",
            "choose another column with --label-column",
        )
    return tuple(names)


def _is_name(name: Any) -> bool:
    # JSON can hold half a character, which no text on disk can.
    return isinstance(name, str) and not any("\ud800" <= letter <= "\udfff" for letter in name)


def _first_wrong(names: list[Any]) -> Any:
    return next(name for name in names if not _is_name(name))


def _is_number(kind: pa.DataType, where: str, column: str) -> bool:
    types = arrow().types
    kind = _decoded(kind)
    if types.is_integer(kind) or types.is_boolean(kind):
        return True
    if _is_text(kind):
        return False
    raise SourceError(
        f"{where}: the column {column!r} has {kind}, not one whole number or text for each image",
        "name another with --label-column",
    )


def _is_text(kind: pa.DataType) -> bool:
    """Return whether a type is one of texts, also in a dictionary."""
    types = arrow().types
    kind = _decoded(kind)
    return any(t(kind) for t in (types.is_string, types.is_large_string, types.is_string_view))


def _decoded(kind: pa.DataType) -> pa.DataType:
    return kind.value_type if arrow().types.is_dictionary(kind) else kind


def _has_ids(schema: pa.Schema) -> bool:
    index = schema.get_field_index("image_id")
    if index < 0:
        return False
    types, kind = arrow().types, _decoded(schema.field(index).type)
    return _is_text(kind) or bool(types.is_integer(kind) or types.is_floating(kind))


def is_list(kind: pa.DataType) -> bool:
    """Return whether a type is one of lists of any length."""
    types = arrow().types
    return bool(types.is_list(kind) or types.is_large_list(kind))


def _integers(schema: pa.Schema) -> Any:
    def has(name: str) -> bool:
        index = schema.get_field_index(name)
        return index >= 0 and bool(arrow().types.is_integer(schema.field(index).type))

    return has


def _listed(schema: pa.Schema) -> str:
    def lines() -> Iterator[str]:
        for field in list(schema)[:20]:
            kind = str(field.type).replace("\n", " ")
            yield f"{field.name} ({kind if len(kind) <= 60 else kind[:57] + '...'})"

    return ", ".join(lines()) or "none"


def _missing(schema: pa.Schema, where: str, name: str, flag: str) -> SourceError:
    return SourceError(
        f"{where} has no column {name!r}; its columns are {_listed(schema)}",
        f"{did_you_mean(name, schema.names)}name another with {flag}",
    )
