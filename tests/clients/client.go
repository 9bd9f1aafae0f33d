// Go's own HTTP client with a pool: CONNECTIONS loops ask REQUESTS times in all, every second time by POST.
// client.go URL CONNECTIONS REQUESTS prints one line of JSON: seconds, the longest request, and what failed.
package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"
)

func main() {
	url := os.Args[1]
	connections, _ := strconv.Atoi(os.Args[2])
	requests, _ := strconv.Atoi(os.Args[3])
	client := http.Client{Transport: &http.Transport{MaxConnsPerHost: connections, MaxIdleConnsPerHost: connections}}
	numbers := make(chan int)
	failures := []string{}
	var longest time.Duration
	var lock sync.Mutex
	var loops sync.WaitGroup
	begun := time.Now()
	for i := 0; i < connections; i++ {
		loops.Add(1)
		go func() {
			defer loops.Done()
			for number := range numbers {
				method, body := "GET", io.Reader(nil)
				if number%2 == 1 {
					method, body = "POST", strings.NewReader("once")
				}
				one := time.Now()
				failure := ""
				request, _ := http.NewRequest(method, url, body)
				if answer, err := client.Do(request); err != nil {
					failure = err.Error()
				} else {
					io.Copy(io.Discard, answer.Body)
					answer.Body.Close()
					if answer.StatusCode != 200 {
						failure = fmt.Sprint("status ", answer.StatusCode)
					}
				}
				lock.Lock()
				if took := time.Since(one); took > longest {
					longest = took
				}
				if failure != "" {
					failures = append(failures, method+": "+failure)
				}
				lock.Unlock()
			}
		}()
	}
	for number := 0; number < requests; number++ {
		numbers <- number
	}
	close(numbers)
	loops.Wait()
	json.NewEncoder(os.Stdout).Encode(map[string]any{
		"seconds": time.Since(begun).Seconds(), "longest": longest.Seconds(), "failures": failures,
	})
}
