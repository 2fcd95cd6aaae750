"""`gatewright demo`: control planes, gateways and backend as real processes on loopback, both directions step by step.

Uses the same commands and APIs as everybody: nothing here reaches into the gateway or the hub. Everything lies in one
private temporary folder and dies with this process, however that ends.

    run          the whole demo: ports, folder, processes, steps, end
    story        what happens with the hub, step by step
    api_manager_story  what happens with the API Manager
    asking       whether something holds
    screen       how a step is printed
    children     child processes that do not outlive this one
    workspace    the folder, and the removal of folders that earlier runs left behind
    ports        free ports, and whether given ones are free
    files        configuration and documents that the demo writes
    backend      the sample backend, a program of its own
"""
