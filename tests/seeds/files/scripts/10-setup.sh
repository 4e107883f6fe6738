#!/bin/sh
echo größer
