// Boxes that scroll can be reached by the keyboard.
document.addEventListener("DOMContentLoaded", () => {
  // What the theme leaves without a name that a screen reader could say.
  for (const summary of document.querySelectorAll("nav summary")) {
    if (!summary.textContent.trim()) summary.setAttribute("aria-label", "Pages below");
  }
  for (const button of document.querySelectorAll(".search-button-field")) {
    button.removeAttribute("aria-label");
  }
  for (const box of document.querySelectorAll("pre, table, .cell_output .output")) {
    if (box.scrollWidth > box.clientWidth) box.tabIndex = 0;
  }
});
