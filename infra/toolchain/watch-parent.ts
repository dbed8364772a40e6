import { endWithParent } from "./end-with-parent.js";

// Preloaded (`node --require`) into a program that the language host starts, which may not know of the host's end.
endWithParent();
