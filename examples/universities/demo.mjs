/** Asks the universities' marketplace, which must be up: `npm run demo:sql` does both. Each answer comes with who computed, who saw what, and why. */
import { spawnSync } from "node:child_process";
import { join } from "node:path";

const root = join(import.meta.dirname, "../..");
const join_ = {
  query:
    "SELECT gender, role, count(*) AS people FROM persons JOIN appointments USING (person) GROUP BY gender, role",
  combine: "SELECT party, gender, role, people FROM result ORDER BY role, gender, party",
};

/** @returns whether the command ended as it should */
function ask(title, user, type, data, expected = 0) {
  console.log(`\n== ${title}`);
  const { status } = spawnSync(
    process.execPath,
    [
      join(root, "dist/dynamos/cli/main.js"),
      ...["-s", "universities", "-C", root, "request", type],
      ...["--user", user, "--providers", "uva,vu", "--data", JSON.stringify(data)],
    ],
    { stdio: ["ignore", "inherit", "inherit"] },
  );
  return status === expected;
}

const all = [
  ask(
    "Without the third party: ada joins persons and appointments at each university",
    "ada@uva.nl",
    "sqlDataRequest",
    join_,
  ),
  ask(
    "With the third party: bob asks the same, and SURF puts the answers together",
    "bob@vu.nl",
    "sqlDataRequest",
    join_,
  ),
  ask("The wage gap over anonymised tables, at SURF", "bob@vu.nl", "wageGapRequest", {}),
  ask(
    "The same for cleo, whose rules name no wage: refused, and nothing is started",
    "cleo@uva.nl",
    "wageGapRequest",
    {},
    3,
  ),
];
console.log("\nstack still up: npm run status -- -s universities; npm run down -- -s universities");
process.exitCode = all.every(Boolean) ? 0 : 1;
