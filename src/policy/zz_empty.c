/* placeholder */ extern int dw_nothing_policy;
