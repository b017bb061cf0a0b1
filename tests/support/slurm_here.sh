# Sourced by the tests that need a SLURM cluster: one of this machine alone, with its own munge key,
# ports, state and configuration below one folder. Nothing of a cluster that the machine may belong to
# is read or written. Only root can start it.
# shellcheck shell=bash

# slurm_lacks: what is missing here for it, on a line; nothing where it can run.
slurm_lacks() {
	local program
	[ "$(id -u)" = 0 ] || echo "root"
	for program in munged slurmctld slurmd sbatch srun scontrol; do
		command -v $program >/dev/null || echo "$program"
	done
	id munge >/dev/null 2>&1 || echo "the user munge"
}

# slurm_free_port: a port of the loopback device that nobody listens at.
slurm_free_port() {
	local port
	for _ in $(seq 100); do
		port=$((20000 + RANDOM % 12000))
		(exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null || { echo $port && return; }
	done
	return 1
}

slurm_configure() {
	local node device
	node=$(hostname -s)
	cat >"$slurm/slurm.conf" <<-END
		ClusterName=here
		SlurmctldHost=$node(127.0.0.1)
		SlurmUser=root
		AuthType=auth/munge
		AuthInfo=socket=$slurm/munge/socket
		CredType=cred/munge
		SlurmctldPort=$(slurm_free_port)
		SlurmdPort=$(slurm_free_port)
		SlurmctldPidFile=$slurm/slurmctld.pid
		SlurmdPidFile=$slurm/slurmd.pid
		StateSaveLocation=$slurm/state
		SlurmdSpoolDir=$slurm/spool
		ProctrackType=proctrack/linuxproc
		TaskPlugin=task/none
		JobAcctGatherType=jobacct_gather/none
		SwitchType=switch/none
		MpiDefault=none
		SelectType=select/cons_tres
		SelectTypeParameters=CR_CPU_Memory
		SlurmdParameters=config_overrides
		SchedulerParameters=batch_sched_delay=0,sched_min_interval=0,bf_interval=2
		ReturnToService=2
		KillWait=10
		CompleteWait=0
		GresTypes=gpu
		NodeName=$node NodeAddr=127.0.0.1 CPUs=4 RealMemory=8000 Gres=gpu:4 State=UNKNOWN
		PartitionName=here Nodes=$node Default=YES MaxTime=INFINITE State=UP
	END
	# GPUs are devices, and these never do anything
	for device in 0 1 2 3; do mknod "$slurm/gpu$device" c 1 3 || return 1; done
	echo "NodeName=$node Name=gpu File=$slurm/gpu[0-3]" >"$slurm/gres.conf"
	# it is read from beside slurm.conf
	echo "CgroupMountpoint=/sys/fs/cgroup" >"$slurm/cgroup.conf"
}

# slurm_start: a folder of its own ($slurm), the daemons, and SLURM_CONF for the commands. Status 1, with
# the logs, where they do not come up.
slurm_start() {
	slurm_pids=
	slurm=$(mktemp -d) || return 1
	# munged runs as another user, and wants a way to its files that nobody else can write
	chmod 711 "$slurm" && mkdir "$slurm"/{munge,state,spool} && chmod 755 "$slurm/munge" || return 1
	head -c 1024 /dev/urandom >"$slurm/munge/key" && chmod 400 "$slurm/munge/key" &&
		chown -R munge: "$slurm/munge" || return 1
	setpriv --reuid=munge --regid=munge --init-groups munged --foreground --key-file="$slurm/munge/key" \
		--socket="$slurm/munge/socket" --pid-file="$slurm/munge/pid" --log-file="$slurm/munge/log" \
		--seed-file="$slurm/munge/seed" --num-threads=2 >"$slurm/munged.out" 2>&1 &
	slurm_pids="$slurm_pids $!"
	slurm_configure || return 1
	export SLURM_CONF=$slurm/slurm.conf
	for _ in $(seq 100); do [ -S "$slurm/munge/socket" ] && break || sleep 0.1; done
	[ -S "$slurm/munge/socket" ] || { slurm_logs && return 1; }
	slurmctld -D -c -f "$SLURM_CONF" -L "$slurm/slurmctld.log" >"$slurm/slurmctld.out" 2>&1 &
	slurm_pids="$slurm_pids $!"
	slurmd -D -c -f "$SLURM_CONF" -L "$slurm/slurmd.log" >"$slurm/slurmd.out" 2>&1 &
	slurm_pids="$slurm_pids $!"
	for _ in $(seq 60); do
		[ "$(timeout 5 sinfo -h -o %t 2>/dev/null)" = idle ] && return 0
		sleep 0.3
	done
	slurm_logs
	return 1
}

# slurm_logs: the end of every log, for a failure.
slurm_logs() {
	local log
	for log in "$slurm"/munge/log "$slurm"/*.log; do
		[ -s "$log" ] && echo "---- $log" && grep -v 'Unauthorized credential' "$log" | tail -n 60
	done
}

# slurm_stop: jobs first, then the daemons; twice is fine.
slurm_stop() {
	local pid
	[ -n "${slurm_pids:-}" ] || return 0
	timeout 5 scancel --signal=KILL --full --state=RUNNING -u root 2>/dev/null
	timeout 5 scancel -u root 2>/dev/null
	for _ in $(seq 20); do [ -z "$(timeout 2 squeue -h 2>/dev/null)" ] && break || sleep 0.2; done
	# the daemons in the reverse of the order in which they came
	for pid in $(echo "$slurm_pids" | tr ' ' '\n' | tac); do
		kill "$pid" 2>/dev/null
		for _ in $(seq 50); do kill -0 "$pid" 2>/dev/null && sleep 0.1 || break; done
		kill -KILL "$pid" 2>/dev/null
		wait "$pid" 2>/dev/null
	done
	slurm_pids=
	rm -rf "$slurm"
}
