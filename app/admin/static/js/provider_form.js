// A provider's form: the model of a check's call is asked for where a check makes one.
const checkCall = document.querySelector("input[name=check_call]");
const checkModel = document.querySelector("[data-check-model]");

function show() {
  checkModel.hidden = !checkCall.checked;
}

checkCall.addEventListener("change", show);
show();
