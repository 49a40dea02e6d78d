"use strict";

// Cells sort by data-sort; cells without it (undefined values) stay last in both directions.
function compare(kind, sign) {
  return (a, b) => {
    if (a.key === "" || b.key === "") return (a.key === "") - (b.key === "");
    const order = kind === "number" ? Number(a.key) - Number(b.key) : a.key.localeCompare(b.key);
    return sign * (Number.isNaN(order) ? 0 : order);
  };
}

function keyOf(row, index) {
  // Python writes infinity as "inf".
  return (row.cells[index].dataset.sort ?? "").replace(/^(-?)inf$/, "$1Infinity");
}

function sortBy(table, head) {
  const descending = head.getAttribute("aria-sort") === "ascending";
  for (const other of table.tHead.querySelectorAll("th")) other.removeAttribute("aria-sort");
  head.setAttribute("aria-sort", descending ? "descending" : "ascending");
  const body = table.tBodies[0];
  const rows = [...body.rows].map((row) => ({ row, key: keyOf(row, head.cellIndex) }));
  rows.sort(compare(head.dataset.kind, descending ? -1 : 1));
  body.append(...rows.map((item) => item.row));
}

for (const table of document.querySelectorAll("table[data-sortable]")) {
  for (const head of table.tHead.querySelectorAll("th[data-kind]")) {
    head.querySelector("button").addEventListener("click", () => sortBy(table, head));
  }
}

// Browsers print closed details closed; on paper nobody can open them.
addEventListener("beforeprint", () => {
  for (const details of document.querySelectorAll("details")) details.open = true;
});
