"""What S3 does with requests, in memory: ranges, conditions, uploads in parts, lists in pages."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from xml.etree import ElementTree
from xml.sax.saxutils import escape


@dataclass(frozen=True)
class Request:
    """A request to a server: its target is the path as it was sent, with the query."""

    method: str
    target: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes

    @property
    def kind(self) -> str:
        return "LIST" if "list-type" in self.query else self.method

    @property
    def bucket(self) -> str:
        return self.path.strip("/").partition("/")[0]

    @property
    def key(self) -> str:
        return self.path.strip("/").partition("/")[2]


@dataclass(frozen=True)
class Answer:
    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)


def refusal(status: int, code: str) -> Answer:
    text = f"<Error><Code>{code}</Code><Message>{code}</Message></Error>"
    return Answer(status, text.encode(), {"Content-Type": "application/xml"})


@dataclass(frozen=True)
class Stored:
    """An object; equal bytes have an equal etag."""

    data: bytes
    etag: str

    @classmethod
    def of(cls, data: bytes) -> Stored:
        return cls(data, f'"{hashlib.md5(data).hexdigest()}"')


class Bucket:
    """What S3 does with requests; no delays and no faults."""

    def __init__(self) -> None:
        self.objects: dict[str, Stored] = {}
        self.uploads: dict[str, dict[int, bytes]] = {}
        self.begun, self.conditional, self.page = 0, True, 1000

    def answer(self, request: Request) -> Answer:
        if request.kind == "LIST":
            return self._list(request.query)
        if request.method in ("GET", "HEAD"):
            return self._get(request)
        if request.method == "PUT":
            return self._put(request)
        if request.method == "POST":
            return self._post(request)
        if "uploadId" in request.query:
            self.uploads.pop(request.query["uploadId"], None)
        else:
            self.objects.pop(request.key, None)
        return Answer(204)

    def _get(self, request: Request) -> Answer:
        stored = self.objects.get(request.key)
        if stored is None:
            return refusal(404, "NoSuchKey")
        if request.headers.get("if-match", stored.etag) != stored.etag:
            return refusal(412, "PreconditionFailed")
        data, headers = (
            stored.data,
            {"ETag": stored.etag, "Last-Modified": "Sat, 01 Jan 2022 00:00:00 GMT"},
        )
        wanted = re.fullmatch(r"bytes=(\d*)-(\d*)", request.headers.get("range", ""))
        if wanted is None:
            return Answer(200, data, headers)
        if not wanted[1]:  # the last bytes
            first, stop = max(len(data) - int(wanted[2]), 0), len(data)
        else:
            first, stop = int(wanted[1]), min(int(wanted[2] or len(data)) + 1, len(data))
        if first >= stop:
            return refusal(416, "InvalidRange")
        headers["Content-Range"] = f"bytes {first}-{stop - 1}/{len(data)}"
        return Answer(206, data[first:stop], headers)

    def _put(self, request: Request) -> Answer:
        if "partNumber" in request.query:
            parts = self.uploads.get(request.query["uploadId"])
            if parts is None:
                return refusal(404, "NoSuchUpload")
            parts[int(request.query["partNumber"])] = request.body
        elif refused := self._refuse(request):
            return refused
        else:
            self.objects[request.key] = Stored.of(request.body)
        return Answer(200, b"", {"ETag": Stored.of(request.body).etag})

    def _refuse(self, request: Request) -> Answer | None:
        """Refuse a PUT whose condition does not hold."""
        old, headers = self.objects.get(request.key), request.headers
        if not self.conditional:
            return None
        if headers.get("if-none-match") == "*" and old is not None:
            return refusal(412, "PreconditionFailed")
        if "if-match" in headers and old is None:
            return refusal(404, "NoSuchKey")
        if "if-match" in headers and old is not None and headers["if-match"] != old.etag:
            return refusal(412, "PreconditionFailed")
        return None

    def _post(self, request: Request) -> Answer:
        if "delete" in request.query:
            keys = _texts(request.body, "Key")
            for key in keys:
                self.objects.pop(key, None)
            return _xml("DeleteResult", "".join(f"<Deleted>{_key(key)}</Deleted>" for key in keys))
        if "uploads" in request.query:
            self.begun += 1
            name = f"upload-{self.begun}"
            self.uploads[name] = {}
            return _xml("InitiateMultipartUploadResult", f"<UploadId>{name}</UploadId>")
        parts = self.uploads.get(request.query.get("uploadId", ""))
        if parts is None:
            return refusal(404, "NoSuchUpload")
        if refused := self._refuse(request):
            return refused
        numbers = [int(text) for text in _texts(request.body, "PartNumber")]
        stored = Stored.of(b"".join(parts[number] for number in numbers))
        self.objects[request.key] = stored
        del self.uploads[request.query["uploadId"]]
        found = f"{_key(request.key)}<ETag>{escape(stored.etag)}</ETag>"
        return _xml("CompleteMultipartUploadResult", found + "<Location>here</Location>")

    def _list(self, query: Mapping[str, str]) -> Answer:
        prefix, delimiter = query.get("prefix", ""), query.get("delimiter")
        after = query.get("continuation-token") or query.get("start-after", "")
        entries: dict[str, Stored | None] = {}  # None: a common prefix
        for key in sorted(self.objects):
            if not key.startswith(prefix):
                continue
            folder, slash, _ = key[len(prefix) :].partition(delimiter or "\0")
            name, content = (prefix + folder + slash, None) if slash else (key, self.objects[key])
            if name > after:
                entries[name] = content
        names = list(entries)[: min(self.page, int(query.get("max-keys", "1000")))]
        found = f"<Prefix>{escape(prefix)}</Prefix><KeyCount>{len(names)}</KeyCount>"
        cut = len(names) < len(entries)
        found += f"<IsTruncated>{str(cut).lower()}</IsTruncated>"
        if cut:
            found += f"<NextContinuationToken>{escape(names[-1])}</NextContinuationToken>"
        for name in names:
            stored = entries[name]
            if stored is None:
                found += f"<CommonPrefixes><Prefix>{escape(name)}</Prefix></CommonPrefixes>"
            else:
                what = f"<Size>{len(stored.data)}</Size><ETag>{escape(stored.etag)}</ETag>"
                when = "<LastModified>2022-01-01T00:00:00.000Z</LastModified>"
                found += f"<Contents>{_key(name)}{when}{what}</Contents>"
        return _xml("ListBucketResult", found)


def _key(key: str) -> str:
    return f"<Key>{escape(key)}</Key>"


def _texts(body: bytes, tag: str) -> list[str]:
    found = ElementTree.fromstring(body).iter()
    return [one.text or "" for one in found if one.tag.rpartition("}")[2] == tag]


def _xml(tag: str, inside: str) -> Answer:
    return Answer(200, f"<{tag}>{inside}</{tag}>".encode(), {"Content-Type": "application/xml"})
