"use strict";

// Sort a table by a column: by its numbers, a second time the other way round.
function sortBy(table, column) {
  const heads = [...table.tHead.rows[0].cells];
  const ascending = heads[column].getAttribute("aria-sort") === "descending"
    || (heads[column].getAttribute("aria-sort") !== "ascending" && column < 2);
  heads.forEach((head) => head.removeAttribute("aria-sort"));
  heads[column].setAttribute("aria-sort", ascending ? "ascending" : "descending");
  const value = (row) => Number(row.cells[column].dataset.value);
  const rows = [...table.tBodies[0].rows];
  rows.sort((a, b) => (ascending ? value(a) - value(b) : value(b) - value(a)));
  table.tBodies[0].append(...rows);
}

for (const table of document.querySelectorAll("table.sortable")) {
  [...table.tHead.rows[0].cells].forEach((head, column) => {
    head.querySelector("button").addEventListener("click", () => sortBy(table, column));
  });
}

function copyNames() {
  const names = document.getElementById("names");
  const said = document.getElementById("copied");
  const range = document.createRange();
  range.selectNodeContents(names);
  getSelection().removeAllRanges();
  getSelection().addRange(range);
  const done = document.execCommand("copy");
  said.textContent = done ? "copied" : "selected: press Ctrl+C";
}

document.getElementById("copy").addEventListener("click", copyNames);
