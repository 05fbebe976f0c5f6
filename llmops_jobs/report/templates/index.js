(function () {
  var box = document.getElementById("search"), rows = document.querySelectorAll("tbody tr"), told = document.getElementById("told");
  box.parentElement.hidden = false;
  box.addEventListener("input", function () {
    var words = box.value.toLowerCase().split(/\s+/), shown = 0;
    rows.forEach(function (row) {
      var text = row.textContent.toLowerCase();
      var hit = words.every(function (word) { return text.indexOf(word) >= 0; });
      row.hidden = !hit;
      if (hit) shown += 1;
    });
    told.textContent = shown + " of " + rows.length + " reports";
  });
})();
