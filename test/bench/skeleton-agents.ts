/** The floor's agents: one composition goes to each, as many as the request that is measured has parties. */
export const agents = ["agent1", "agent2", "agent3", "agent4"] as const;
