export * from "../infra/fabric/site-room.js";
