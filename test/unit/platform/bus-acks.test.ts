import type { ConsumeMessage } from "amqplib";
import { describe, expect, it } from "vitest";
import { Acks } from "../../../policy/platform/bus-acks.js";

const message = (deliveryTag: number) => ({ fields: { deliveryTag } }) as ConsumeMessage;
const messages = Array.from({ length: 8 }, (_, i) => message(i + 1));
const [one, two, three, four, five, six, seven] = messages as [
  ConsumeMessage,
  ConsumeMessage,
  ConsumeMessage,
  ConsumeMessage,
  ConsumeMessage,
  ConsumeMessage,
  ConsumeMessage,
];

/** What the broker is told, e.g. `ack 3+` for all up to 3. */
function broker() {
  const told: string[] = [];
  const acks = new Acks(
    {
      ack: ({ fields }, all) => void told.push(`ack ${fields.deliveryTag}${all === true ? "+" : ""}`),
      nack: ({ fields }, _all, requeue) => void told.push(`nack ${fields.deliveryTag} ${requeue}`),
    },
    () => told.push("gone"),
  );
  for (const each of messages) acks.take(each);
  return { acks, told };
}
const turn = () => new Promise((done) => setImmediate(done));

describe("acknowledgements", () => {
  it("of one turn are one word, up to the first message that is still at work; the others by themselves", async () => {
    const { acks, told } = broker();
    for (const each of [three, one, two, five, seven]) acks.ack(each);
    expect(told, "nothing before the turn has ended").toEqual([]);
    await turn();
    expect(told).toEqual(["ack 3+", "ack 5", "ack 7"]);
    acks.ack(four);
    await turn();
    // 5 was told before: this word is about what is not told yet, to the broker as well.
    expect(told.slice(3)).toEqual(["ack 4+"]);
    acks.ack(six);
    await turn();
    expect(told.slice(4)).toEqual(["ack 6+"]);
  });

  it("never take in what is refused, which is told at once", async () => {
    const { acks, told } = broker();
    acks.ack(one);
    acks.nack(two, true);
    acks.ack(three);
    await turn();
    expect(told).toEqual(["nack 2 true", "ack 3+"]);
  });

  it("are told at the end without waiting for a turn, and are told once", async () => {
    const { acks, told } = broker();
    acks.ack(one);
    acks.flush();
    acks.ack(one);
    await turn();
    expect(told).toEqual(["ack 1+"]);
  });

  it("on a channel that is lost are nobody's fault", async () => {
    const told: string[] = [];
    const fail = () => {
      throw new Error("Channel closed");
    };
    const acks = new Acks({ ack: fail, nack: fail }, () => told.push("gone"));
    for (const each of [one, two]) acks.take(each);
    acks.ack(one);
    await turn();
    acks.nack(two, false);
    expect(told).toEqual(["gone", "gone"]);
  });
});
