/**
 * Makes `data/<party>/titanic.csv` from `source/titanic.csv`: three clients know different things about the same people,
 * the server knows who survived. Run `node split.mts` after changing it; a test compares the result with what is committed.
 */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

interface Passenger {
  readonly passenger: string;
  readonly pclass: string;
  readonly survived: number;
  readonly sex: string;
  /** Years; absent for 263 of 1,309. */
  readonly age: number | undefined;
  readonly sibsp: number;
  readonly parch: number;
}

/** Party to the text of its table. */
export function split(source: string): Record<string, string> {
  const people = parse(source);
  const ages = people.flatMap(({ age }) => (age === undefined ? [] : [age]));
  const mean = ages.reduce((sum, age) => sum + age, 0) / ages.length;
  const deviation = Math.sqrt(ages.reduce((sum, age) => sum + (age - mean) ** 2, 0) / ages.length);
  const most = (pick: (one: Passenger) => number): number => Math.max(...people.map(pick));
  const [mostSibsp, mostParch] = [most((one) => one.sibsp), most((one) => one.parch)];
  const table = (columns: string, values: (one: Passenger) => readonly number[]): string =>
    [`passenger,${columns}`, ...people.map((one) => [one.passenger, ...values(one)].join(",")), ""].join(
      "\n",
    );

  return {
    clientone: table("first,second,third", ({ pclass }) =>
      ["1st", "2nd", "3rd"].map((name) => Number(pclass === name)),
    ),
    // An unknown age becomes the mean age, which is 0 when standardised.
    clienttwo: table("female,age", ({ sex, age }) => [
      Number(sex === "female"),
      age === undefined ? 0 : (age - mean) / deviation,
    ]),
    clientthree: table("sibsp,parch", ({ sibsp, parch }) => [sibsp / mostSibsp, parch / mostParch]),
    server: table("survived", ({ survived }) => [survived]),
  };
}

function parse(source: string): Passenger[] {
  const [header, ...lines] = source.trim().split("\n");
  if (header !== "passenger,pclass,survived,sex,age,sibsp,parch")
    throw new Error(`unknown columns: ${header}`);
  return lines.map((line) => {
    const [passenger = "", pclass = "", survived, sex = "", age, sibsp, parch] = line.split(",");
    return {
      passenger,
      pclass,
      survived: Number(survived),
      sex,
      age: age === "" ? undefined : Number(age),
      sibsp: Number(sibsp),
      parch: Number(parch),
    };
  });
}

if (process.argv[1] === import.meta.filename) {
  const here = import.meta.dirname;
  for (const [party, text] of Object.entries(split(readFileSync(join(here, "source/titanic.csv"), "utf8")))) {
    mkdirSync(join(here, "data", party), { recursive: true });
    writeFileSync(join(here, "data", party, "titanic.csv"), text);
  }
}
