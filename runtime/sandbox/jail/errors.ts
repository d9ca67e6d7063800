/** How a run in the jail can fail, and what goes wrong with the jail itself. */
import { errorKinds } from '#schemas/fabric-error';

export const jailErrors = errorKinds({
  task_fuel_exceeded: {
    retryable: false,
    help: 'The guest computed longer than limits.fuel allows: raise it, or give the guest less to do.',
  },
  task_time_exceeded: {
    retryable: true,
    help: 'The guest and the answers that it waited for took longer than limits.wallMs.',
  },
  task_memory_exceeded: {
    retryable: false,
    help: 'The guest needs more than limits.memoryBytes: raise it, or give the guest less to do.',
  },
  task_output_exceeded: {
    retryable: false,
    help: 'The guest put out more than limits.outputBytes: return less, or store it with kv under a grant.',
  },
  task_logs_exceeded: { retryable: false, help: 'The guest logged more than limits.logBytes: log less.' },
  task_calls_exceeded: {
    retryable: false,
    help: 'The guest called the host oftener than limits.callsPerSecond with limits.callBurst allows.',
  },
  task_stack_exceeded: { retryable: false, help: 'The guest recurses too deeply.' },
  task_trapped: {
    retryable: false,
    help: 'The guest ran into a trap; details.stack says where. A trap ends a run, nothing else is harmed.',
  },
  task_failed: { retryable: false, help: 'The guest itself returned this error.' },
  task_unlinked: {
    retryable: false,
    help: 'Build the component for the world infrafabric:task/task; `infrafabric chassis check` says what does not fit.',
  },
  jail_limits_refused: {
    retryable: false,
    help: 'Ask for less memory, or raise the most that the jail of the node gives.',
  },
  task_cancelled: { retryable: false, help: 'Whoever ordered the task took it back.' },
  component_gate_failed: {
    retryable: false,
    help: 'Reading the component took more time or memory than any honest one needs, or broke the reader: treat it as an attack, and report it.',
  },
  jail_died: {
    retryable: true,
    help: 'The process of the task ended by itself; nothing of it is used again. If it happens again, suspect the component.',
  },
  jail_protocol: {
    retryable: false,
    help: 'The process of the task said what no guest can make it say: treat the component as an attack, and report it.',
  },
  jail_not_started: { retryable: true, help: '`infrafabric doctor` shows what the jail is made of here.' },
  jail_layers_missing: {
    retryable: false,
    help: 'Install what is missing (bubblewrap; a cgroup that the node may divide), or allow less with require: any.',
  },
  jail_busy: {
    retryable: true,
    help: 'As many tasks wait as may: order fewer at a time, or raise the size of the jail.',
  },
  jail_closed: { retryable: true, help: 'The node is stopping; another one will run the task.' },
});
