/** Makes the staff tables of two universities. Nobody in them exists: names, births and wages are drawn by a seeded generator. */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const FIRST = [
  "Anna",
  "Bram",
  "Chaya",
  "Daan",
  "Esra",
  "Finn",
  "Guus",
  "Hanna",
  "Ilse",
  "Jan",
  "Kees",
  "Lotte",
];
const LAST = [
  "Bakker",
  "Boer",
  "Brouwer",
  "Dekker",
  "Groot",
  "Jansen",
  "Kok",
  "Mulder",
  "Smit",
  "Visser",
  "Vos",
];
/** Wage a month at full time by scale, and how much of it a women's wage lies below it on the average: so that there is something to find. */
const SCALES = [
  { scale: 10, wage: 3_900, gap: 0.01 },
  { scale: 11, wage: 4_700, gap: 0.03 },
  { scale: 12, wage: 5_800, gap: 0.05 },
  { scale: 14, wage: 7_400, gap: 0.08 },
] as const;

/** Numerical Recipes' linear congruential generator, 32 bits. */
function generator(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}

/** A university's two tables as CSV. */
export function staff(
  seed: number,
  people: number,
  first: number,
): { persons: string; appointments: string } {
  const random = generator(seed);
  const pick = <T,>(list: readonly T[]): T => list[Math.floor(random() * list.length)] as T;
  const persons = ["person,name,gender,born"];
  const appointments = ["person,role,scale,fte,wage"];
  for (let person = first; person < first + people; person += 1) {
    const gender = random() < 0.45 ? "F" : "M";
    const born = `${1958 + Math.floor(random() * 42)}-${String(1 + Math.floor(random() * 12)).padStart(2, "0")}-15`;
    persons.push(`${person},${pick(FIRST)} ${pick(LAST)},${gender},${born}`);
    const { scale, wage, gap } = pick(SCALES);
    const fte = pick([0.5, 0.8, 1]);
    const own = wage * (0.9 + 0.2 * random()) * (gender === "F" ? 1 - gap : 1);
    appointments.push(
      `${person},${pick(["lecturer", "researcher", "support"])},${scale},${fte},${Math.round(own)}`,
    );
  }
  return { persons: `${persons.join("\n")}\n`, appointments: `${appointments.join("\n")}\n` };
}

export const STAFF = { uva: staff(7, 400, 1), vu: staff(11, 300, 1_001) };

if (process.argv[1] === import.meta.filename) {
  for (const [party, tables] of Object.entries(STAFF)) {
    const folder = join(import.meta.dirname, "data", party);
    mkdirSync(folder, { recursive: true });
    for (const [table, text] of Object.entries(tables)) writeFileSync(join(folder, `${table}.csv`), text);
  }
}
