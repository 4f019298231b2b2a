// Sorts a table by a click on its headings; the page is complete without it.
for (const table of document.querySelectorAll("table.sortable")) {
  const body = table.tBodies[0], heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => {
    const button = document.createElement("button"), numeric = head.classList.contains("num");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    const key = (row) => row.cells[column].dataset.sort ?? row.cells[column].textContent.trim();
    button.addEventListener("click", () => {
      const before = head.getAttribute("aria-sort");
      const falling = before ? before === "ascending" : numeric;
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", falling ? "descending" : "ascending");
      const compare = (a, b) => {
        if (a === "" || b === "") return (a === "") - (b === "");
        return (falling ? -1 : 1) * (numeric ? a - b : a.localeCompare(b));
      };
      body.append(...[...body.rows].sort((a, b) => compare(key(a), key(b))));
    });
  });
}
