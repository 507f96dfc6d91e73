// Says in words what a change would do. Nothing else.

import { sentOf } from "./telling.js";

const MOST = 12;

export function linesOf(plan) {
  if (plan.data) return [sentOf(plan.data, "would be sent")];
  const steps = plan.actions.map((each) => `${each.instance}: ${each.action}, ${each.reason}`);
  const lines = steps.slice(0, MOST);
  if (steps.length > MOST) lines.push(`and ${steps.length - MOST} more`);
  if (!steps.length) lines.push("Nothing would be done to any worker.");
  if (plan.purged !== undefined) lines.push(`${plan.purged} messages would be dropped.`);
  if (plan.tasks.count) lines.push(`${plan.tasks.count} tasks run on those workers now.`);
  if (plan.waits_for) lines.push(`It would wait: ${plan.waits_for}`);
  return lines;
}
